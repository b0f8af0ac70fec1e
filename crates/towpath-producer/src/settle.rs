//! Tells a source the outcomes of its messages, in runs, off the hot path.

use std::{
    fmt,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use towpath_core::{
    Acknowledger, BoxError, EventKind, FailureContext, Lease, Origin, Outcome, Panicked,
    SettleCounts, SettleError, Settled, StageName,
    trace::{End, Span},
};

use crate::table::TokenTable;

/// The first pause after a settlement that failed; it doubles up to a second.
const FIRST_BACKOFF: Duration = Duration::from_millis(10);
const MAX_BACKOFF: Duration = Duration::from_secs(1);
/// How often a settlement is tried before it counts as failed.
const ATTEMPTS: u32 = 8;

/// How a source took the outcomes, over a whole run.
#[derive(Debug, Default)]
pub struct SettleStats {
    confirmed: AtomicU64,
    sent: AtomicU64,
    stale: AtomicU64,
    failed: AtomicU64,
    redelivered: AtomicU64,
}

impl SettleStats {
    /// The counters now.
    pub fn counts(&self) -> SettleCounts {
        let mut counts = SettleCounts::default();
        counts.confirmed = self.confirmed.load(Relaxed);
        counts.sent = self.sent.load(Relaxed);
        counts.stale = self.stale.load(Relaxed);
        counts.failed = self.failed.load(Relaxed);
        counts
    }

    /// How many deliveries were not the first of their message.
    pub fn redelivered(&self) -> u64 {
        self.redelivered.load(Relaxed)
    }

    pub(crate) fn add_redelivered(&self, origins: &[Origin]) {
        let again = origins.iter().filter(|origin| origin.attempt > 1).count();
        if again > 0 {
            self.redelivered.fetch_add(again as u64, Relaxed);
        }
    }

    fn add(&self, settled: Settled) {
        self.confirmed.fetch_add(settled.confirmed, Relaxed);
        self.sent.fetch_add(settled.sent, Relaxed);
        self.stale.fetch_add(settled.stale, Relaxed);
    }
}

/// The task that tells one source.
pub(crate) struct Teller<A: Acknowledger> {
    pub(crate) stage: StageName,
    pub(crate) acknowledger: Lease<A>,
    pub(crate) table: Arc<TokenTable<A>>,
    pub(crate) stats: Arc<SettleStats>,
    pub(crate) context: FailureContext,
    /// When the source is told next that its messages are still worked on.
    pub(crate) extend_at: Option<Instant>,
    /// How long closing the source may take.
    pub(crate) close_within: Duration,
}

impl<A: Acknowledger> Teller<A> {
    /// Runs until every message of the source has its outcome and the source knows it, or is not
    /// to be told any more; then the source is closed.
    pub(crate) async fn run(mut self) {
        let table = self.table.clone();
        tokio::select! {
            biased;
            () = self.tell_all() => {}
            () = table.given_up() => {}
        }
        self.close().await;
    }

    async fn tell_all(&mut self) {
        let (mut run, mut traced) = (Vec::new(), Vec::new());
        while self.wait(&mut run, &mut traced).await {
            let count = run.len();
            let told = self.tell(&mut run).await;
            run.clear();
            self.table.told(count);
            self.end_traces(&mut traced, told.as_ref().err());
            if let Err(failed) = told {
                self.stats.failed.fetch_add(failed.count as u64, Relaxed);
                self.report(&failed);
            }
        }
    }

    /// Waits for outcomes, and extends meanwhile what is held.
    async fn wait(
        &mut self,
        run: &mut Vec<(A::Token, Outcome)>,
        traced: &mut Vec<Arc<dyn Span>>,
    ) -> bool {
        loop {
            self.extend_if_due().await;
            let table = self.table.clone();
            let outcomes = table.take(run, traced);
            match self.extend_at {
                None => return outcomes.await,
                Some(at) => {
                    if let Ok(more) = timeout_at(at, outcomes).await {
                        return more;
                    }
                }
            }
        }
    }

    /// Says that what has no outcome yet is still worked on, when it is time to.
    async fn extend_if_due(&mut self) {
        let now = Instant::now();
        let every = self.acknowledger.extend_every();
        let Some(every) = every.filter(|every| !every.is_zero()) else {
            return;
        };
        if *self.extend_at.get_or_insert(now + every) > now {
            return;
        }
        let extending = AssertUnwindSafe(async { self.acknowledger.extend().await });
        let failed = match extending.catch_unwind().await {
            Ok(extended) => extended.err(),
            Err(panic) => Some(Panicked::from_payload(panic).into()),
        };
        if let Some(error) = failed {
            let error = error.to_string();
            let kind = EventKind::ExtendFailed { error };
            self.context.tell(&self.stage, kind);
        }
        self.extend_at = Some(Instant::now() + every);
    }

    async fn close(&mut self) {
        let within = self.close_within;
        let closing = AssertUnwindSafe(async { self.acknowledger.close().await });
        let failed = match timeout(within, closing.catch_unwind()).await {
            Ok(Ok(closed)) => closed.err(),
            Ok(Err(panic)) => Some(Panicked::from_payload(panic).into()),
            Err(_) => Some(format!("not closed within {within:?}").into()),
        };
        if let Some(error) = failed {
            let error = error.to_string();
            let kind = EventKind::CloseFailed { error };
            self.context.tell(&self.stage, kind);
        }
    }

    async fn tell(&mut self, run: &mut Vec<(A::Token, Outcome)>) -> Result<(), SettleError> {
        let mut backoff = FIRST_BACKOFF;
        for attempt in 1.. {
            match self.attempt(run).await {
                Ok(()) => break,
                Err(error) if attempt == ATTEMPTS => {
                    return Err(SettleError::new(run.len(), error));
                }
                Err(_) => {
                    sleep(backoff).await;
                    self.extend_if_due().await;
                    backoff = (backoff * 2).min(MAX_BACKOFF);
                }
            }
        }
        Ok(())
    }

    async fn attempt(&mut self, run: &mut Vec<(A::Token, Outcome)>) -> Result<(), BoxError> {
        let settling = AssertUnwindSafe(async { self.acknowledger.settle(run).await });
        let settled = match settling.catch_unwind().await {
            Ok(settled) => settled?,
            Err(panic) => return Err(Panicked::from_payload(panic).into()),
        };
        self.stats.add(settled);
        // What an acknowledger leaves behind without an error is as good as told.
        run.clear();
        Ok(())
    }

    /// The journeys of the run end here.
    fn end_traces(&self, traced: &mut Vec<Arc<dyn Span>>, failed: Option<&SettleError>) {
        for span in traced.drain(..) {
            let end = failed.map_or(End::Done, |failed| End::failed(&*failed.source));
            span.end(&end, self.context.ledger.now());
        }
    }

    fn report(&self, failed: &SettleError) {
        let kind = EventKind::SettleFailed {
            error: failed.source.to_string(),
            count: failed.count,
        };
        self.context.tell(&self.stage, kind);
    }
}

impl<A: Acknowledger> fmt::Debug for Teller<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Teller")
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}
