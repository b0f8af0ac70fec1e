//! The loop of a sink's worker: one batch at a time, an outcome for each of its messages.

use std::{collections::VecDeque, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::time::{Instant, timeout_at};
use towpath_core::{
    Batch, Bundle, Failure, FailureRoute, Inlet, Lease, Panicked, Receipt, Settler, Sink,
    StageStats, Verdicts, Written, port,
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
}

impl<S> SinkWork<S> {
    pub(crate) fn new(sink: Lease<S>, failures: FailureRoute, stats: Arc<StageStats>) -> Self {
        Self {
            sink,
            failures,
            stats,
            settler: Settler::default(),
            receipts: Vec::new(),
            unflushed: Vec::new(),
            flush_at: None,
        }
    }

    /// Runs until the inlet has ended; what was written is flushed and settled then.
    pub(crate) async fn run<T>(mut self, mut inlet: Box<dyn Inlet<Bundle<T>>>)
    where
        S: Sink<T>,
        T: Send,
    {
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
        match self.attempt(batch).await {
            Ok(Written::Each(verdicts)) => self.settle_each(verdicts),
            Ok(_) => self.settle_all(),
            Err(failure) => self.fail_all(failure),
        }
        self.failures.clear().await;
        if self.unflushed.len() >= MAX_UNFLUSHED {
            self.flush().await;
        }
    }

    async fn attempt<T>(&mut self, batch: Batch<T>) -> Result<Written, Failure>
    where
        S: Sink<T>,
        T: Send,
    {
        let count = batch.len();
        let writing = AssertUnwindSafe(async { self.sink.write(batch).await });
        match writing.catch_unwind().await {
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
        self.stats.add_sent(receipts.len());
        if let Some(every) = self.sink.flush_every() {
            self.unflushed.append(&mut receipts);
            self.due(every);
        } else {
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
        let outcome = failure.into_outcome(self.failures.stage());
        for receipt in self.receipts.drain(..) {
            self.failures.fail_as(receipt, outcome.clone());
        }
    }

    async fn flush<T>(&mut self)
    where
        S: Sink<T>,
    {
        self.flush_at = None;
        if self.unflushed.is_empty() {
            return;
        }
        let flushing = AssertUnwindSafe(async { self.sink.flush().await });
        let flushed = match flushing.catch_unwind().await {
            Ok(flushed) => flushed.map_err(Failure::retry),
            Err(panic) => Err(Failure::retry(Panicked::from_payload(panic))),
        };
        match flushed {
            Ok(()) => self.settler.settle_all(&mut self.unflushed),
            Err(failure) => self.give_back_unflushed(failure).await,
        }
    }

    async fn give_back_unflushed(&mut self, failure: Failure) {
        let outcome = failure.into_outcome(self.failures.stage());
        for receipt in self.unflushed.drain(..) {
            self.failures.fail_as(receipt, outcome.clone());
        }
        self.failures.clear().await;
    }
}
