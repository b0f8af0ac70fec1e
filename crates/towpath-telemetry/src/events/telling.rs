//! Each event as an event of `tracing`, for the logs.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use towpath_core::{BreakerState, Event, EventKind, StageName};
use tracing::field::DisplayValue;

/// Rejected messages are warned of so often, and in between counted.
const PACE: Duration = Duration::from_secs(10);

/// The `target` that a filter of logs can name.
macro_rules! tell {
    ($level:ident, $pipeline:expr, $event:expr $(, $field:ident = $value:expr)*) => {
        tracing::$level!(
            target: "towpath::events",
            pipeline = %$pipeline, stage = stage($pipeline, $event), kind = $event.kind.word(),
            $($field = $value,)*
            "{}", InWords(&$event.kind)
        )
    };
}

/// Tells `tracing` what happens in one pipeline: failures as warnings, the life cycle as
/// information, single rejected messages at `debug`.
#[derive(Debug, Default)]
pub(super) struct Teller {
    /// When, in milliseconds of the pipeline's clock, the next rejected one is a warning.
    next: AtomicU64,
    quiet: AtomicU64,
}

impl Teller {
    pub(super) fn tell(&self, pipeline: &StageName, event: &Event) {
        if let EventKind::Rejected { .. } = event.kind {
            return self.rejected(pipeline, event);
        }
        if is_failure(&event.kind) {
            tell!(warn, pipeline, event);
        } else {
            tell!(info, pipeline, event);
        }
    }

    fn rejected(&self, pipeline: &StageName, event: &Event) {
        if self.is_due(event.at) {
            let before = self.quiet.swap(0, Relaxed);
            tell!(warn, pipeline, event, since_last = before);
        } else {
            self.quiet.fetch_add(1, Relaxed);
            tell!(debug, pipeline, event);
        }
    }

    /// Whether the next warning is due; true for one of those who ask at once.
    fn is_due(&self, at: Duration) -> bool {
        let [now, pace] = [at, PACE].map(|t| u64::try_from(t.as_millis()).unwrap_or(u64::MAX));
        let next = self.next.load(Relaxed);
        let after = now.saturating_add(pace);
        now >= next && (self.next.compare_exchange(next, after, Relaxed, Relaxed)).is_ok()
    }
}

/// The stage that an event happened at; `None` for one of the pipeline itself.
///
/// A stage may have the pipeline's name.
fn stage<'a>(pipeline: &StageName, event: &'a Event) -> Option<DisplayValue<&'a StageName>> {
    let is_of_pipeline = is_life_cycle(&event.kind) && event.stage == *pipeline;
    (!is_of_pipeline).then(|| tracing::field::display(&event.stage))
}

fn is_life_cycle(kind: &EventKind) -> bool {
    use EventKind::{Draining, Paused, Resumed, Started, Stopped};
    matches!(kind, Started | Paused | Resumed | Draining | Stopped)
}

fn is_failure(kind: &EventKind) -> bool {
    matches!(
        kind,
        EventKind::Restarted { .. }
            | EventKind::SourceFailed { .. }
            | EventKind::SettleFailed { .. }
            | EventKind::ExtendFailed { .. }
            | EventKind::CloseFailed { .. }
            | EventKind::BreakerChanged {
                to: BreakerState::Open,
                ..
            }
    )
}

/// An event for people.
struct InWords<'a>(&'a EventKind);

impl fmt::Display for InWords<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            EventKind::Restarted { restarts } => {
                write!(f, "worker started again, {restarts} times in this run")
            }
            EventKind::SourceFailed { error, retry_in } => {
                write!(
                    f,
                    "source out of reach: {error}; tried again in {retry_in:?}"
                )
            }
            EventKind::Rejected { cause } => {
                write!(f, "message rejected: {}", cause.chain().join(": "))
            }
            EventKind::SettleFailed { error, count } => {
                write!(f, "{count} outcomes not told to the source: {error}")
            }
            EventKind::ExtendFailed { error } => {
                write!(
                    f,
                    "source not told that its messages are worked on: {error}"
                )
            }
            EventKind::CloseFailed { error } => {
                write!(f, "source not closed as it should be: {error}")
            }
            EventKind::ConcurrencyChanged { concurrency } => {
                write!(f, "concurrency is {concurrency} now")
            }
            EventKind::RateChanged { calls, per } => write!(f, "{calls} calls per {per:?} now"),
            EventKind::BreakerForced { forced } => {
                write!(f, "circuit breaker told: {forced:?}")
            }
            EventKind::BreakerChanged { from, to } => {
                write!(f, "circuit breaker went from {from:?} to {to:?}")
            }
            plain => f.write_str(plain.word()),
        }
    }
}

#[cfg(test)]
mod tests;
