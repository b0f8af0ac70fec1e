//! T4: calls that have time enough, behind a slow sink.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::time::{error::Elapsed, sleep, timeout};
use towpath::Report;

use super::{Snoozed, Subject, run};

/// Calls of up to 35 ms with a timeout of 60 ms. Cloning gives another handle.
#[derive(Clone, Debug, Default)]
pub struct Calls {
    timeouts: Arc<AtomicU64>,
}

impl Calls {
    /// How long a call may take.
    pub const TIMEOUT: Duration = Duration::from_millis(60);
    /// How long the sink should take over a message.
    pub const SINK: Duration = Duration::from_millis(100);

    /// Call number `n`: one, three, five or seven steps of 5 ms.
    pub async fn steps(n: u64) {
        for _ in 0..=2 * (n % 4) {
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Call number `n` under its timeout, which is counted if it strikes.
    ///
    /// # Errors
    /// Fails when the timeout strikes.
    pub fn call(&self, n: u64) -> impl Future<Output = Result<(), Elapsed>> + Send + use<> {
        let timeouts = self.timeouts.clone();
        async move {
            let called = timeout(Self::TIMEOUT, Self::steps(n)).await;
            called.inspect_err(|_| {
                timeouts.fetch_add(1, SeqCst);
            })
        }
    }

    /// How many timeouts have struck.
    pub fn timeouts(&self) -> u64 {
        self.timeouts.load(SeqCst)
    }
}

/// T4: runs a pipeline of calls that have time enough, and a sink that has not:
/// 100 ms for each message.
///
/// # Errors
/// Fails when the pipeline hangs, a timeout strikes, or a message is not done.
pub async fn false_timeouts<S: Subject>(build: impl FnOnce(Calls) -> S) -> Result<Report, Snoozed> {
    let calls = Calls::default();
    let (report, took) = run(build(calls.clone())).await?;
    let messages = u32::try_from(report.counts.emitted).unwrap_or(u32::MAX);
    if took < Calls::SINK * messages {
        return Err(Snoozed::Unused { times: 0 });
    }
    let failed = report.counts.emitted - report.counts.done;
    let timeouts = calls.timeouts();
    if timeouts + failed > 0 {
        return Err(Snoozed::TimedOut { timeouts, failed });
    }
    Ok(report)
}
