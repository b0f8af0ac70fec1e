//! The two ends of a stage: where its items come from, and where they go.

use std::{
    collections::VecDeque,
    future::poll_fn,
    task::{Context, Poll},
};

/// Where a worker takes its items from. Called once per chunk, not per item.
pub trait Inlet<I>: Send {
    /// Adds up to about `want` items to `inbox`; `Ready(false)` when there will be no more.
    ///
    /// The chunk they came in counts as taken until the next call, so that the
    /// inbox is part of the bound of the link.
    fn poll_fill(
        &mut self,
        want: usize,
        inbox: &mut VecDeque<I>,
        cx: &mut Context<'_>,
    ) -> Poll<bool>;

    /// Offers what cannot be started back to whoever is idle. What cannot go back stays.
    fn offer_back(&mut self, inbox: &mut VecDeque<I>);

    /// As [`offer_back`](Self::offer_back), of a worker that has the items before the rest in
    /// its hand: a chunk without a rest stays taken, for what was in it.
    fn offer_rest(&mut self, inbox: &mut VecDeque<I>) {
        self.offer_back(inbox);
    }

    /// Stops waiting, so that a wake-up meant for this worker passes to another.
    fn stop_waiting(&mut self);

    /// Tells how many of the items that were taken the worker has not begun as it goes to
    /// wait: they count as still in the queue.
    fn keeps(&mut self, count: usize) {
        let _ = count;
    }
}

/// Where a worker puts its results. Called once per chunk, not per item.
pub trait Outlet<I>: Send {
    /// Waits until there is room; tells for how many items.
    ///
    /// `Ready(0)` means that nobody takes them any more.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<usize>;

    /// Takes items from the front of `items`, as many as there is room for.
    fn accept(&mut self, items: &mut VecDeque<I>);

    /// Sends on what was accepted, however little.
    fn flush(&mut self);

    /// Waits until everything that was accepted is sent on. Called before the worker ends.
    fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        self.flush();
        Poll::Ready(())
    }
}

/// Makes an end for each worker, again after a restart.
pub type Ends<E> = std::sync::Arc<dyn Fn() -> Box<E> + Send + Sync>;

/// Takes one item out of an inlet; `None` when there will be no more.
///
/// # Cancel safety
/// Cancel safe. What was filled stays in `inbox`.
pub async fn next<I>(inlet: &mut dyn Inlet<I>, inbox: &mut VecDeque<I>) -> Option<I> {
    loop {
        if let Some(item) = inbox.pop_front() {
            return Some(item);
        }
        if !poll_fn(|cx| inlet.poll_fill(1, inbox, cx)).await {
            return None;
        }
    }
}

/// Puts all of `items` into an outlet, and flushes it.
///
/// # Cancel safety
/// Cancel safe. What was not accepted stays in `items`.
pub async fn put_all<I>(outlet: &mut dyn Outlet<I>, items: &mut VecDeque<I>) {
    while !items.is_empty() {
        if poll_fn(|cx| outlet.poll_room(cx)).await == 0 {
            items.clear();
        }
        outlet.accept(items);
        outlet.flush();
    }
}

/// Waits until everything that was put into an outlet is sent on.
///
/// # Cancel safety
/// Cancel safe.
pub async fn drained<I>(outlet: &mut dyn Outlet<I>) {
    poll_fn(|cx| outlet.poll_drained(cx)).await;
}
