//! The loop of a batcher: messages in, bundles out, one timer for all open batches.

use std::{
    collections::VecDeque,
    future::poll_fn,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    task::coop,
    time::{Instant, Sleep, sleep_until},
};
use towpath_core::{
    BatchInfo, BatchKey, Bundle, FailureRoute, Inlet, Message, Outlet, Pool, StageName, StageStats,
    Trigger,
};

use crate::{Close, ClosedBatch, KeyOf, OpenBatches, Rules, Splitter, WeightOf};

/// How many messages a batcher asks a fused inlet for.
const WANT: usize = 64;

/// The batches of one batcher, and how their keys and weights are found.
pub(crate) struct BatchWork<T, K, W, S>
where
    K: KeyOf<T>,
    S: Splitter<T>,
{
    name: StageName,
    key: Arc<K>,
    weight: Arc<W>,
    open: OpenBatches<K::Key, Message<T>, ByPayload<S>>,
    closed: VecDeque<ClosedBatch<K::Key, Message<T>>>,
    bundles: VecDeque<Bundle<T>>,
    pool: Arc<Pool<T>>,
    inbox: VecDeque<Message<T>>,
    /// Whether the message in front is with the key or the weight function.
    keying: bool,
    ended: bool,
}

/// Work that may be cut short: what is in its batches goes back to its source then.
struct Unfinished<'a, T, K, W, S>(BatchWork<T, K, W, S>, &'a StageStats)
where
    K: KeyOf<T>,
    S: Splitter<T>;

impl<T, K, W, S> Drop for Unfinished<'_, T, K, W, S>
where
    K: KeyOf<T>,
    S: Splitter<T>,
{
    fn drop(&mut self) {
        self.1
            .add_given_back(self.0.open.messages() + self.0.in_closed());
    }
}

impl<T, K, W, S> BatchWork<T, K, W, S>
where
    K: KeyOf<T>,
    S: Splitter<T>,
{
    /// Messages in batches that are closed and not handed on.
    fn in_closed(&self) -> usize {
        self.closed.iter().map(|batch| batch.items.len()).sum()
    }
}

/// A splitter of payloads as one of messages.
struct ByPayload<S>(Arc<S>);

impl<T, S: Splitter<T>> Splitter<Message<T>> for ByPayload<S> {
    type State = S::State;

    fn start(&self) -> S::State {
        self.0.start()
    }

    fn observe(&self, state: &mut S::State, message: &Message<T>) -> Close {
        self.0.observe(state, message.payload())
    }

    fn splits(&self) -> bool {
        self.0.splits()
    }
}

impl<T, K, W, S> BatchWork<T, K, W, S>
where
    K: KeyOf<T>,
    W: WeightOf<T>,
    S: Splitter<T>,
{
    pub(crate) fn new(
        name: StageName,
        rules: Rules,
        key: Arc<K>,
        weight: Arc<W>,
        splitter: Arc<S>,
    ) -> Self {
        Self {
            name,
            key,
            weight,
            open: OpenBatches::new(rules, ByPayload(splitter)),
            closed: VecDeque::new(),
            bundles: VecDeque::new(),
            pool: Arc::default(),
            inbox: VecDeque::new(),
            keying: false,
            ended: false,
        }
    }

    /// Runs until the inlet has ended and every batch is handed on.
    pub(crate) async fn run(
        self,
        mut inlet: Box<dyn Inlet<Message<T>>>,
        mut outlet: Box<dyn Outlet<Bundle<T>>>,
        mut failures: FailureRoute,
        stats: Arc<StageStats>,
    ) {
        let mut timer = Box::pin(sleep_until(Instant::now()));
        let mut work = Unfinished(self, &stats);
        poll_fn(|cx| {
            let polled = work.0.poll(
                &mut *inlet,
                &mut *outlet,
                &mut failures,
                &stats,
                timer.as_mut(),
                cx,
            );
            inlet.keeps(work.0.inbox.len());
            polled
        })
        .await;
    }

    fn poll(
        &mut self,
        inlet: &mut dyn Inlet<Message<T>>,
        outlet: &mut dyn Outlet<Bundle<T>>,
        failures: &mut FailureRoute,
        stats: &StageStats,
        mut timer: Pin<&mut Sleep>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        loop {
            self.expire();
            // Nothing is taken without room for a batch: one that closes has a place at once.
            if !self.hand_on(outlet, failures, stats, cx)
                || failures.poll_clear(cx).is_pending()
                || outlet.poll_room(cx).is_pending()
            {
                inlet.stop_waiting();
                return Poll::Pending;
            }
            std::task::ready!(coop::poll_proceed(cx)).made_progress();
            if self.take(inlet, failures, stats, cx) {
                continue;
            }
            if self.ended {
                self.open
                    .flush_all(Trigger::Drain, Instant::now(), &mut self.closed);
                return if self.hand_on(outlet, failures, stats, cx) {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                };
            }
            if self.poll_deadline(timer.as_mut(), cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Waits for the oldest batch to be due.
    fn poll_deadline(&mut self, mut timer: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.open.next_deadline() else {
            return Poll::Pending;
        };
        // Armed anew only when it has fired early for a batch that closed meanwhile.
        if timer.is_elapsed() || timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if timer.deadline() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }

    fn expire(&mut self) {
        if let Some(deadline) = self.open.next_deadline() {
            let now = Instant::now();
            if deadline <= now {
                self.open.expire(now, &mut self.closed);
            }
        }
    }

    /// Hands closed batches on; whether all are.
    fn hand_on(
        &mut self,
        outlet: &mut dyn Outlet<Bundle<T>>,
        failures: &FailureRoute,
        stats: &StageStats,
        cx: &mut Context<'_>,
    ) -> bool {
        while !self.closed.is_empty() || !self.bundles.is_empty() {
            match outlet.poll_room(cx) {
                Poll::Pending => return false,
                Poll::Ready(0) => {
                    stats.add_given_back(self.in_closed());
                    self.closed.clear();
                    self.bundles.clear();
                }
                Poll::Ready(_) => {
                    if self.bundles.is_empty()
                        && let Some(closed) = self.closed.pop_front()
                    {
                        let bundle = self.bundle(closed, failures, stats);
                        self.bundles.push_back(bundle);
                    }
                    outlet.accept(&mut self.bundles);
                    outlet.flush();
                }
            }
        }
        true
    }

    fn bundle(
        &mut self,
        closed: ClosedBatch<K::Key, Message<T>>,
        failures: &FailureRoute,
        stats: &StageStats,
    ) -> Bundle<T> {
        if let Some(buffer) = self.pool.take() {
            self.open.give_back(buffer);
        }
        let key = self.key.is_keyed().then(|| BatchKey::new(closed.key));
        let mut info = BatchInfo::new(self.name.clone(), closed.items.len(), closed.trigger)
            .with_key(key)
            .with_weight(closed.weight)
            .with_age(closed.age);
        let context = failures.context();
        if context.tracer.is_some() {
            info = info.with_opened_at(context.ledger.now().saturating_sub(closed.age));
        }
        stats.add_sent(info.size);
        stats.add_batch(&info, self.weight.weighs());
        Bundle::new(closed.items, info).pooled(self.pool.clone())
    }

    /// Takes what has come, until a batch closes; whether anything has.
    fn take(
        &mut self,
        inlet: &mut dyn Inlet<Message<T>>,
        failures: &mut FailureRoute,
        stats: &StageStats,
        cx: &mut Context<'_>,
    ) -> bool {
        if self.inbox.is_empty() && !self.ended {
            match inlet.poll_fill(WANT, &mut self.inbox, cx) {
                Poll::Ready(more) => self.ended = !more,
                Poll::Pending => return false,
            }
        }
        let before = self.inbox.len();
        self.sort_in(failures);
        stats.add_received(before - self.inbox.len());
        before > 0
    }

    /// Puts messages into their batches until one closes. User code is guarded once for
    /// all of them: a panic fails the message at hand, and the loop goes on behind it.
    fn sort_in(&mut self, failures: &mut FailureRoute) {
        // Read once per chunk: a batch is as old as the chunk that opened it.
        let now = Instant::now();
        if !self.weight.weighs()
            && !self.open.splits()
            && let Some(key) = self.key.only_key()
        {
            return self.sort_in_runs(&key, now);
        }
        while self.closed.is_empty() && !self.inbox.is_empty() {
            let before = self.inbox.len();
            let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.sort_until_closed(now))) else {
                continue;
            };
            // A message that is still there panicked in its key or weight; one that is not,
            // in the splitter, went with the panic and so back to its source.
            let keyed = mem::take(&mut self.keying);
            let at_hand = keyed.then(|| self.inbox.pop_front()).flatten();
            match at_hand {
                Some(message) => failures.panicked(message.into_parts().1, panic),
                None => failures.lost_to_panic(),
            }
            debug_assert!(self.inbox.len() < before, "each panic takes a message");
        }
    }

    /// As [`sort_in`](Self::sort_in) where no user code decides: whole runs at once.
    fn sort_in_runs(&mut self, key: &K::Key, now: Instant) {
        let mut messages = Vec::from(mem::take(&mut self.inbox));
        while self.closed.is_empty() && !messages.is_empty() {
            let flush = messages.iter().position(Message::is_flush);
            let count = flush.map_or(messages.len(), |last| last + 1);
            self.open.push_run(
                key.clone(),
                &mut messages,
                count,
                flush.is_some(),
                now,
                &mut self.closed,
            );
        }
        self.inbox = VecDeque::from(messages);
    }

    fn sort_until_closed(&mut self, now: Instant) {
        while self.closed.is_empty()
            && let Some(message) = self.inbox.front()
        {
            self.keying = true;
            let payload = message.payload();
            let (key, weight) = (self.key.key(payload), self.weight.weigh(payload));
            self.keying = false;
            if let Some(message) = self.inbox.pop_front() {
                let flush = message.is_flush();
                self.open
                    .push(key, message, weight, flush, now, &mut self.closed);
            }
        }
    }
}
