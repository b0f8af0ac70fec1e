//! Sends each message to one of several branches, by its key.

use std::{
    collections::VecDeque,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::{Context, Poll, ready},
};

use towpath_core::{FailureRoute, Message, Outlet};

use crate::error::UnknownRoute;

/// How many messages one worker keeps for branches without room before it stops.
const STASH: usize = 64;

type BoxOutlet<T> = Box<dyn Outlet<Message<T>>>;

/// Sends each message to the branch of its key.
pub(crate) struct Route<T, K, F> {
    key: Arc<F>,
    branches: Vec<Branch<T, K>>,
    failures: FailureRoute,
}

struct Branch<T, K> {
    key: K,
    outlet: BoxOutlet<T>,
    /// What waits for room in this branch, while others go on.
    stash: VecDeque<Message<T>>,
    room: usize,
}

impl<T, K, F> Route<T, K, F> {
    pub(crate) fn new(
        key: Arc<F>,
        branches: Vec<(K, BoxOutlet<T>)>,
        failures: FailureRoute,
    ) -> Self {
        let branches = branches.into_iter().map(|(key, outlet)| Branch {
            key,
            outlet,
            stash: VecDeque::new(),
            room: 0,
        });
        Self {
            key,
            branches: branches.collect(),
            failures,
        }
    }

    fn stashed(&self) -> usize {
        self.branches.iter().map(|b| b.stash.len()).sum()
    }
}

impl<T, K> Branch<T, K> {
    fn make_room(&mut self, cx: &mut Context<'_>) {
        loop {
            self.room = match self.outlet.poll_room(cx) {
                Poll::Ready(0) => {
                    // Nobody takes these any more: back to the source.
                    self.stash.clear();
                    usize::MAX
                }
                Poll::Ready(room) => room,
                Poll::Pending => 0,
            };
            if self.stash.is_empty() || self.room == 0 {
                return;
            }
            self.outlet.accept(&mut self.stash);
        }
    }
}

impl<T, K, F> Route<T, K, F>
where
    K: PartialEq + fmt::Debug,
    F: Fn(&T) -> K,
{
    fn sort_in(&mut self, message: Message<T>) {
        let key = match catch_unwind(AssertUnwindSafe(|| (self.key)(message.payload()))) {
            Ok(key) => key,
            Err(panic) => return self.failures.panicked(message.into_parts().1, panic),
        };
        if let Some(branch) = self.branches.iter_mut().find(|branch| branch.key == key) {
            branch.stash.push_back(message);
        } else {
            let unknown = UnknownRoute::new(format!("{key:?}"));
            self.failures.fail(message.into_parts().1, unknown);
        }
    }
}

impl<T, K, F> Outlet<Message<T>> for Route<T, K, F>
where
    T: Send,
    K: PartialEq + fmt::Debug + Send,
    F: Fn(&T) -> K + Send + Sync,
{
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        ready!(self.failures.poll_clear(cx));
        self.branches.iter_mut().for_each(|b| b.make_room(cx));
        let free = STASH.saturating_sub(self.stashed());
        if free == 0 || self.branches.iter().all(|b| b.room == 0) {
            return Poll::Pending;
        }
        Poll::Ready(free)
    }

    fn accept(&mut self, items: &mut VecDeque<Message<T>>) {
        while let Some(message) = items.pop_front() {
            self.sort_in(message);
        }
        for branch in &mut self.branches {
            if branch.room > 0 {
                branch.outlet.accept(&mut branch.stash);
            }
        }
    }

    fn flush(&mut self) {
        self.branches.iter_mut().for_each(|b| b.outlet.flush());
    }

    fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut drained = self.failures.poll_clear(cx).is_ready();
        // Each is moved on, whoever else waits.
        for branch in &mut self.branches {
            branch.make_room(cx);
            drained &= branch.outlet.poll_drained(cx).is_ready() && branch.stash.is_empty();
        }
        if drained {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}
