//! What stages report, and to whom.

use std::time::Duration;

use crate::{BreakerState, Cause, ForcedBreaker, StageName};

/// Is told what happens in a pipeline: life-cycle events, never single messages on the hot path.
///
/// Called from the pipeline's tasks: it must not block.
pub trait Observer: Send + Sync + 'static {
    /// Something happened.
    fn event(&self, event: &Event);
}

impl<F: Fn(&Event) + Send + Sync + 'static> Observer for F {
    fn event(&self, event: &Event) {
        self(event);
    }
}

/// Something that happened in a pipeline.
///
/// As data it is one flat object: `{"at_ms": .., "stage": .., "kind": "started", ..}`.
#[derive(Clone, Debug, serde::Serialize)]
#[non_exhaustive]
pub struct Event {
    /// The time since the pipeline began.
    #[serde(rename = "at_ms", serialize_with = "crate::words::as_millis")]
    pub at: Duration,
    /// The stage it happened at, or the pipeline's own name.
    pub stage: StageName,
    /// What it was.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// The kinds of events.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// The pipeline runs.
    Started,
    /// Sources are no longer asked.
    Paused,
    /// Sources are asked again.
    Resumed,
    /// The pipeline finishes what it took and takes no more.
    Draining,
    /// The pipeline has ended.
    Stopped,
    /// A worker died and was started again.
    Restarted {
        /// How often in this run, this time included.
        restarts: u64,
    },
    /// A source could not be reached; it is tried again after a backoff.
    SourceFailed {
        /// What the source said.
        error: String,
        /// The backoff.
        #[serde(rename = "retry_in_ms", serialize_with = "crate::words::as_millis")]
        retry_in: Duration,
    },
    /// A message was rejected.
    Rejected {
        /// Why. As data: the error and each of its causes, outermost first.
        #[serde(serialize_with = "chain")]
        cause: Cause,
    },
    /// Outcomes could not be told to a source.
    SettleFailed {
        /// What the source said.
        error: String,
        /// How many outcomes.
        count: usize,
    },
    /// A source could not be told that its messages are still worked on: it may deliver them
    /// again meanwhile.
    ExtendFailed {
        /// What the source said.
        error: String,
    },
    /// A source could not be closed as it should be, after its last outcome.
    CloseFailed {
        /// What the source said.
        error: String,
    },
    /// The concurrency of a stage was changed.
    ConcurrencyChanged {
        /// The new limit.
        concurrency: usize,
    },
    /// The rate limit of a stage was changed.
    RateChanged {
        /// The calls of a period.
        calls: u64,
        /// The period.
        #[serde(rename = "per_ms", serialize_with = "crate::words::as_millis")]
        per: Duration,
    },
    /// The circuit breaker of a stage was forced open or closed, or let decide again.
    BreakerForced {
        /// Who decides from now on.
        forced: ForcedBreaker,
    },
    /// The circuit breaker of a stage went from one state to another.
    BreakerChanged {
        /// The state before.
        from: BreakerState,
        /// The state now.
        to: BreakerState,
    },
}

impl Event {
    /// Something that happened at a stage.
    pub fn new(at: Duration, stage: StageName, kind: EventKind) -> Self {
        Self { at, stage, kind }
    }
}

impl EventKind {
    /// The word of each kind, as [`word`](Self::word) says it.
    pub const WORDS: [&'static str; 15] = [
        "started",
        "paused",
        "resumed",
        "draining",
        "stopped",
        "restarted",
        "source_failed",
        "rejected",
        "settle_failed",
        "extend_failed",
        "close_failed",
        "concurrency_changed",
        "rate_changed",
        "breaker_forced",
        "breaker_changed",
    ];

    /// The kind in one word that stays the same: `started`, `source_failed`, `breaker_changed`..
    pub fn word(&self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::Draining => "draining",
            Self::Stopped => "stopped",
            Self::Restarted { .. } => "restarted",
            Self::SourceFailed { .. } => "source_failed",
            Self::Rejected { .. } => "rejected",
            Self::SettleFailed { .. } => "settle_failed",
            Self::ExtendFailed { .. } => "extend_failed",
            Self::CloseFailed { .. } => "close_failed",
            Self::ConcurrencyChanged { .. } => "concurrency_changed",
            Self::RateChanged { .. } => "rate_changed",
            Self::BreakerForced { .. } => "breaker_forced",
            Self::BreakerChanged { .. } => "breaker_changed",
        }
    }
}

fn chain<S: serde::Serializer>(cause: &Cause, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(cause.chain())
}

#[cfg(test)]
mod tests {
    //! How an event is shown as data.

    use serde_json::json;

    use super::*;

    fn shown(kind: EventKind) -> serde_json::Value {
        let event = Event::new(Duration::from_millis(1500), "enrich".into(), kind);
        serde_json::to_value(event).unwrap()
    }

    #[test]
    fn an_event_is_one_flat_object_with_its_kind_and_times_in_milliseconds() {
        let failed = EventKind::SourceFailed {
            error: "refused".into(),
            retry_in: Duration::from_secs(2),
        };
        let expected = json!({
            "at_ms": 1500, "stage": "enrich", "kind": "source_failed", "error": "refused",
            "retry_in_ms": 2000,
        });
        assert_eq!(shown(failed), expected);
        let changed = EventKind::RateChanged {
            calls: 5,
            per: Duration::from_secs(1),
        };
        let changed = shown(changed);
        assert_eq!(
            (&changed["calls"], &changed["per_ms"]),
            (&json!(5), &json!(1000))
        );
        let cause = Cause::new("enrich".into(), "no such customer");
        let rejected = shown(EventKind::Rejected { cause });
        assert_eq!(rejected["cause"], json!(["no such customer"]));
    }

    #[test]
    fn the_word_of_a_kind_is_what_its_data_says() {
        let error = String::from("refused");
        let kinds = [
            EventKind::Started,
            EventKind::Paused,
            EventKind::Resumed,
            EventKind::Draining,
            EventKind::Stopped,
            EventKind::Restarted { restarts: 1 },
            EventKind::SourceFailed {
                error: error.clone(),
                retry_in: Duration::ZERO,
            },
            EventKind::Rejected {
                cause: Cause::new("enrich".into(), "no such customer"),
            },
            EventKind::SettleFailed {
                error: error.clone(),
                count: 3,
            },
            EventKind::ExtendFailed {
                error: error.clone(),
            },
            EventKind::CloseFailed { error },
            EventKind::ConcurrencyChanged { concurrency: 2 },
            EventKind::RateChanged {
                calls: 1,
                per: Duration::ZERO,
            },
            EventKind::BreakerForced {
                forced: ForcedBreaker::Open,
            },
            EventKind::BreakerChanged {
                from: BreakerState::Closed,
                to: BreakerState::Open,
            },
        ];
        let words: Vec<_> = kinds.iter().map(EventKind::word).collect();
        assert_eq!(words, EventKind::WORDS);
        for kind in kinds {
            let word = kind.word();
            assert_eq!(shown(kind)["kind"], json!(word));
        }
    }
}
