//! Tells a queue what became of its messages.

use std::time::Duration;

use tokio::time::timeout;
use towpath_connector::{Held, Leases};
use towpath_core::{Acknowledger, BoxError, Lag, Outcome, Settled};

use crate::{
    Depth, SqliteQueue,
    queue::book::{Lent, Settlement, What},
};

/// How long to wait for an answer beyond the time that a lock may take.
const GRACE: Duration = Duration::from_secs(10);

/// What settles one message of a queue.
#[derive(Debug)]
pub struct SqliteToken(pub(super) Held<Lent>);

/// Settles messages of a queue, a run in one transaction, and extends their leases.
#[derive(Debug)]
pub struct SqliteAcknowledger {
    pub(super) queue: SqliteQueue,
    pub(super) leases: Leases<Lent>,
    pub(super) lease: Duration,
    pub(super) lag: Lag,
}

/// The file did not answer in time.
#[derive(Debug, thiserror::Error)]
#[error("{path}: no answer within {limit:?}", path = .path.display())]
struct NoAnswer {
    path: std::path::PathBuf,
    limit: Duration,
}

impl SqliteAcknowledger {
    /// A transaction waits for a lock no longer than it may: beyond that, the disk hangs.
    async fn in_time<T, E: Into<BoxError>>(
        &self,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, BoxError> {
        let limit = self.queue.options().busy_timeout + GRACE;
        match timeout(limit, call).await {
            Ok(answer) => answer.map_err(Into::into),
            Err(_) => Err(NoAnswer {
                path: self.queue.path().to_owned(),
                limit,
            }
            .into()),
        }
    }
}

impl Acknowledger for SqliteAcknowledger {
    type Token = SqliteToken;

    async fn settle(&mut self, run: &mut Vec<(SqliteToken, Outcome)>) -> Result<Settled, BoxError> {
        let settlements = run.iter().map(|(token, outcome)| Settlement {
            lent: *token.0.key(),
            what: what(outcome),
        });
        let call = self.queue.settle(settlements.collect());
        let (confirmed, depth) = self.in_time(call).await?;
        let stale = run.len().saturating_sub(confirmed);
        run.clear();
        tell_lag(&self.lag, depth, &self.leases);
        Ok(Settled::confirmed(confirmed).and(Settled::stale(stale)))
    }

    fn extend_every(&self) -> Option<Duration> {
        Some(self.lease / 3)
    }

    async fn extend(&mut self) -> Result<(), BoxError> {
        let due = self.leases.due();
        if due.is_empty() {
            return Ok(());
        }
        let depth = self.in_time(self.queue.extend(due, self.lease)).await?;
        tell_lag(&self.lag, depth, &self.leases);
        Ok(())
    }
}

/// All that is in the file, but for what is worked on here.
pub(super) fn tell_lag(lag: &Lag, depth: Depth, leases: &Leases<Lent>) {
    lag.set(depth.messages.saturating_sub(leases.len() as u64));
}

fn what(outcome: &Outcome) -> What {
    match outcome {
        Outcome::Retry {
            after,
            attempts,
            trace,
        } => What::Return {
            after: *after,
            extra: attempts.saturating_sub(1),
            trace: trace.as_deref().cloned(),
        },
        _ => What::Remove,
    }
}
