//! A chain of operators in front of a worker's inbox, or behind its results.

use std::{
    collections::VecDeque,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::{Context, Poll, ready},
};

use towpath_core::{BatchInfo, Bundle, FailureRoute, Inlet, Message, Outlet, StageName, Trigger};

use super::{Operator, Step};

/// Runs a chain on messages until the input is empty or `limit` results are there.
///
/// The cursor is the input itself: after a panic the loop goes on behind the
/// message that panicked.
fn run<O: Operator>(
    chain: &O,
    input: &mut VecDeque<Message<O::In>>,
    output: &mut VecDeque<Message<O::Out>>,
    limit: usize,
    failures: &mut FailureRoute,
) {
    let before = input.len();
    let had = output.len();
    let mut step = Step::new(failures);
    while output.len() < limit && !input.is_empty() {
        let ran = catch_unwind(AssertUnwindSafe(|| {
            while output.len() < limit
                && let Some(message) = input.pop_front()
            {
                let (payload, receipt) = message.into_parts();
                step.receipt = Some(receipt);
                chain.apply(payload, &mut step, &mut |payload, step| {
                    if let Some(receipt) = step.receipt.take() {
                        output.push_back(Message::new(payload, receipt));
                    }
                });
            }
        }));
        if let (Err(panic), Some(receipt)) = (ran, step.receipt.take()) {
            step.failures.panicked(receipt, panic);
        }
    }
    failures.stats().add_received(before - input.len());
    failures.stats().add_sent(output.len() - had);
}

/// An inlet behind a chain: the worker that takes runs the operators.
pub struct FusedInlet<O: Operator> {
    chain: Arc<O>,
    inner: Box<dyn Inlet<Message<O::In>>>,
    raw: VecDeque<Message<O::In>>,
    failures: FailureRoute,
    ended: bool,
}

impl<O: Operator> FusedInlet<O> {
    /// Puts `chain` between `inner` and a worker.
    pub fn new(
        chain: Arc<O>,
        inner: Box<dyn Inlet<Message<O::In>>>,
        failures: FailureRoute,
    ) -> Self {
        Self {
            chain,
            inner,
            raw: VecDeque::new(),
            failures,
            ended: false,
        }
    }
}

impl<O: Operator> Inlet<Message<O::Out>> for FusedInlet<O> {
    fn poll_fill(
        &mut self,
        want: usize,
        inbox: &mut VecDeque<Message<O::Out>>,
        cx: &mut Context<'_>,
    ) -> Poll<bool> {
        loop {
            ready!(self.failures.poll_clear(cx));
            if self.raw.is_empty() {
                if self.ended {
                    return Poll::Ready(false);
                }
                self.ended = !ready!(self.inner.poll_fill(want, &mut self.raw, cx));
            }
            let limit = inbox.len() + want.max(1);
            run(
                &*self.chain,
                &mut self.raw,
                inbox,
                limit,
                &mut self.failures,
            );
            if !inbox.is_empty() {
                return Poll::Ready(true);
            }
        }
    }

    fn offer_back(&mut self, _inbox: &mut VecDeque<Message<O::Out>>) {
        self.inner.offer_back(&mut self.raw);
    }

    fn stop_waiting(&mut self) {
        self.inner.stop_waiting();
    }

    fn keeps(&mut self, count: usize) {
        self.inner.keeps(self.raw.len() + count);
    }
}

/// An outlet behind a chain: the worker that gives runs the operators.
pub struct FusedOutlet<O: Operator> {
    chain: Arc<O>,
    inner: Box<dyn Outlet<Message<O::Out>>>,
    results: VecDeque<Message<O::Out>>,
    room: usize,
    failures: FailureRoute,
}

impl<O: Operator> FusedOutlet<O> {
    /// Puts `chain` between a worker and `inner`.
    pub fn new(
        chain: Arc<O>,
        inner: Box<dyn Outlet<Message<O::Out>>>,
        failures: FailureRoute,
    ) -> Self {
        Self {
            chain,
            inner,
            results: VecDeque::new(),
            room: 0,
            failures,
        }
    }
}

impl<O: Operator> Outlet<Message<O::In>> for FusedOutlet<O> {
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        ready!(self.failures.poll_clear(cx));
        loop {
            self.room = ready!(self.inner.poll_room(cx));
            if self.room == 0 {
                self.results.clear();
            }
            if self.results.is_empty() {
                return Poll::Ready(self.room);
            }
            // One message made more than there was room for: the rest goes first.
            self.inner.accept(&mut self.results);
            self.inner.flush();
        }
    }

    fn accept(&mut self, items: &mut VecDeque<Message<O::In>>) {
        if self.results.is_empty() && self.failures.is_clear() {
            run(
                &*self.chain,
                items,
                &mut self.results,
                self.room,
                &mut self.failures,
            );
        }
        self.inner.accept(&mut self.results);
        self.room = self.room.saturating_sub(self.results.len());
    }

    fn flush(&mut self) {
        self.inner.flush();
    }

    fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.results.is_empty() || !self.failures.is_clear() {
            ready!(self.poll_room(cx));
        }
        self.inner.poll_drained(cx)
    }
}

/// Takes what comes, up to `max` messages, as one bundle: a sink without a batcher.
pub struct Chunked<T> {
    inner: Box<dyn Inlet<Message<T>>>,
    messages: VecDeque<Message<T>>,
    name: StageName,
    max: usize,
}

impl<T> Chunked<T> {
    /// Bundles the messages of `inner` for the sink `name`.
    pub fn new(name: StageName, max: usize, inner: Box<dyn Inlet<Message<T>>>) -> Self {
        Self {
            inner,
            messages: VecDeque::new(),
            name,
            max: max.max(1),
        }
    }

    fn bundle(&mut self) -> Bundle<T> {
        let count = self.messages.len().min(self.max);
        let messages = self.messages.drain(..count).collect();
        Bundle::new(
            messages,
            BatchInfo::new(self.name.clone(), count, Trigger::Chunk),
        )
    }
}

impl<T: Send> Inlet<Bundle<T>> for Chunked<T> {
    fn poll_fill(
        &mut self,
        _want: usize,
        inbox: &mut VecDeque<Bundle<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<bool> {
        if self.messages.is_empty()
            && !ready!(self.inner.poll_fill(self.max, &mut self.messages, cx))
        {
            return Poll::Ready(false);
        }
        let bundle = self.bundle();
        // A sink writes one bundle at a time: the rest of the chunk is for whoever is idle, and
        // the chunk itself, where there is none, is the place of the bundle in the link's bound.
        self.inner.offer_rest(&mut self.messages);
        self.inner.keeps(self.messages.len());
        inbox.push_back(bundle);
        Poll::Ready(true)
    }

    fn offer_back(&mut self, _inbox: &mut VecDeque<Bundle<T>>) {
        self.inner.offer_back(&mut self.messages);
    }

    fn stop_waiting(&mut self) {
        self.inner.stop_waiting();
    }
}

impl<O: Operator> fmt::Debug for FusedInlet<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FusedInlet").finish_non_exhaustive()
    }
}

impl<O: Operator> fmt::Debug for FusedOutlet<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FusedOutlet").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Chunked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunked").finish_non_exhaustive()
    }
}
