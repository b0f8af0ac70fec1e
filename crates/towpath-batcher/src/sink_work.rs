//! The loop of a sink's worker: one batch at a time, an outcome for each of its messages.

use std::{
    collections::VecDeque, error::Error, panic::AssertUnwindSafe, sync::Arc, time::Duration,
};

use futures_util::FutureExt as _;
use tokio::time::{Instant, timeout_at};
use towpath_core::{
    Batch, BatchInfo, Bundle, Failure, FailureRoute, Inlet, Lease, Panicked, Receipt, Settler,
    Sink, StageStats, Timing, Verdicts, Written, port,
    trace::{self, TracedWrite},
};

/// How many written messages of one worker wait for a flush at most.
pub(crate) const MAX_UNFLUSHED: usize = 10_000;

pub(crate) struct SinkWork<S> {
    sink: Lease<S>,
    failures: FailureRoute,
    stats: Arc<StageStats>,
    settler: Settler,
    receipts: Vec<Receipt>,
    /// Written, and settled when the sink has flushed.
    unflushed: Vec<Receipt>,
    flush_at: Option<Instant>,
    /// Whether the sink is at work, as the stage was told.
    is_busy: bool,
}

impl<S> SinkWork<S> {
    pub(crate) fn new(sink: Lease<S>, failures: FailureRoute, stats: Arc<StageStats>) -> Self {
        if stats.timing() != Timing::Off {
            let now = failures.context().ledger.now();
            stats.occupy(0, 0, Duration::ZERO, now);
        }
        Self {
            sink,
            failures,
            stats,
            settler: Settler::default(),
            receipts: Vec::new(),
            unflushed: Vec::new(),
            flush_at: None,
            is_busy: false,
        }
    }

    /// Runs until the inlet has ended; what was written is flushed and settled then.
    pub(crate) async fn run<T>(mut self, mut inlet: Box<dyn Inlet<Bundle<T>>>)
    where
        S: Sink<T>,
        T: Send,
    {
        if let Some(reach) = self.sink.reach() {
            self.stats.set_reach(reach);
        }
        let mut inbox = VecDeque::new();
        loop {
            self.flush_if_due().await;
            let next = port::next(&mut *inlet, &mut inbox);
            let next = match self.flush_at {
                Some(at) => timeout_at(at, next).await.ok(),
                None => Some(next.await),
            };
            match next {
                Some(Some(bundle)) => self.write(bundle).await,
                Some(None) => break,
                None => self.flush().await,
            }
        }
        self.flush().await;
    }

    /// A batch that is always there must not put the flush off.
    async fn flush_if_due<T>(&mut self)
    where
        S: Sink<T>,
    {
        if self.flush_at.is_some_and(|at| at <= Instant::now()) {
            self.flush().await;
        }
    }

    async fn write<T>(&mut self, bundle: Bundle<T>)
    where
        S: Sink<T>,
        T: Send,
    {
        self.receipts.clear();
        let with_origins = self.sink.reads_origins();
        let batch = bundle.split(&mut self.receipts, with_origins);
        self.stats.add_received(batch.len());
        let traced = self.begin_trace(batch.info());
        let batch = match &traced {
            Some(traced) => traced.carried_by(batch),
            None => batch,
        };
        let begun = self.set_busy(true);
        let answer = self.attempt(batch, traced.as_ref()).await;
        if let (Some(begun), Some(ended)) = (begun, self.set_busy(false)) {
            self.stats.add_duration(ended.saturating_sub(begun), 1);
        }
        if let Some(traced) = traced {
            let failure = answer.as_ref().err();
            traced.end(failure.map(|failure| -> &(dyn Error + 'static) { failure.error() }));
        }
        match answer {
            Ok(Written::Each(verdicts)) => self.settle_each(verdicts),
            Ok(_) => self.settle_all(),
            Err(failure) => self.fail_all(failure),
        }
        self.failures.clear().await;
        if self.unflushed.len() >= MAX_UNFLUSHED {
            self.flush().await;
        }
    }

    /// The sink is at work from now on, or no longer; tells the time where it is timed.
    fn set_busy(&mut self, is_busy: bool) -> Option<Duration> {
        if self.stats.timing() == Timing::Off {
            return None;
        }
        let now = self.failures.context().ledger.now();
        let (before, after) = (usize::from(self.is_busy), usize::from(is_busy));
        self.stats.occupy(before, after, Duration::ZERO, now);
        self.is_busy = is_busy;
        Some(now)
    }

    fn begin_trace<T>(&self, info: &BatchInfo) -> Option<TracedWrite>
    where
        S: Sink<T>,
    {
        self.failures.context().tracer.as_ref()?;
        let (stage, peer) = (self.failures.stage(), self.sink.peer());
        TracedWrite::begin(self.receipts.iter(), info, stage, &peer)
    }

    async fn attempt<T>(
        &mut self,
        batch: Batch<T>,
        traced: Option<&TracedWrite>,
    ) -> Result<Written, Failure>
    where
        S: Sink<T>,
        T: Send,
    {
        let count = batch.len();
        let writing = trace::within(traced, async { self.sink.write(batch).await });
        match AssertUnwindSafe(writing).catch_unwind().await {
            Ok(written) => written.map_err(Failure::from_error),
            Err(panic) => {
                self.stats.add_panicked(count);
                Err(Failure::reject(Panicked::from_payload(panic)))
            }
        }
    }

    fn settle_all<T>(&mut self)
    where
        S: Sink<T>,
    {
        let receipts = std::mem::take(&mut self.receipts);
        self.receipts = self.written(receipts);
    }

    fn settle_each<T>(&mut self, verdicts: Verdicts)
    where
        S: Sink<T>,
    {
        let mut receipts = std::mem::take(&mut self.receipts);
        let mut done = Vec::with_capacity(receipts.len());
        let results = verdicts.into_results(receipts.len());
        for (receipt, result) in receipts.drain(..).zip(results) {
            match result {
                Ok(()) => done.push(receipt),
                Err(failure) => self.failures.fail(receipt, failure),
            }
        }
        self.written(done);
        self.receipts = receipts;
    }

    /// Settles what was written, now or when the sink has flushed; gives the buffer back.
    fn written<T>(&mut self, mut receipts: Vec<Receipt>) -> Vec<Receipt>
    where
        S: Sink<T>,
    {
        if self.failures.context().tracer.is_some() {
            receipts.iter().for_each(trace::written);
        }
        if let Some(every) = self.sink.flush_every() {
            self.unflushed.append(&mut receipts);
            self.due(every);
        } else {
            self.stats.add_sent(receipts.len());
            self.settler.settle_all(&mut receipts);
        }
        receipts
    }

    fn due(&mut self, every: Duration) {
        if !self.unflushed.is_empty() && self.flush_at.is_none() {
            self.flush_at = Instant::now().checked_add(every);
        }
    }

    fn fail_all(&mut self, failure: Failure) {
        self.failures.fail_all(self.receipts.drain(..), failure);
    }

    async fn flush<T>(&mut self)
    where
        S: Sink<T>,
    {
        self.flush_at = None;
        if self.unflushed.is_empty() {
            return;
        }
        self.set_busy(true);
        let flushing = AssertUnwindSafe(async { self.sink.flush().await });
        let flushed = match flushing.catch_unwind().await {
            Ok(flushed) => flushed.map_err(Failure::retry),
            Err(panic) => Err(Failure::retry(Panicked::from_payload(panic))),
        };
        self.set_busy(false);
        match flushed {
            Ok(()) => {
                self.stats.add_sent(self.unflushed.len());
                self.settler.settle_all(&mut self.unflushed);
            }
            Err(failure) => self.give_back_unflushed(failure).await,
        }
    }

    async fn give_back_unflushed(&mut self, failure: Failure) {
        self.failures.fail_all(self.unflushed.drain(..), failure);
        self.failures.clear().await;
    }
}

impl<S> Drop for SinkWork<S> {
    /// However the worker ends: what it has not settled goes back to its source.
    fn drop(&mut self) {
        self.set_busy(false);
        let in_hand = self.receipts.len() + self.unflushed.len();
        self.stats.add_given_back(in_hand);
    }
}
