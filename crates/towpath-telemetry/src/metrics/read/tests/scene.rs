//! A pipeline that has a figure of every kind.

use std::time::Duration;

use towpath_core::{
    BatchStatus, BreakerState, Distribution, ForcedBreaker, Histogram, Phase, PolicyStatus,
    QueueStatus, ReachStatus, Reason, SourceStatus, StageStatus, Status, Trigger,
};

const SECOND: Duration = Duration::from_secs(1);

/// A pipeline with a source and so many stages, all of them timed, batched and under all
/// policies.
pub(super) fn pipeline(stages: usize) -> Status {
    let mut status = Status::new("orders".into(), Phase::Draining);
    status.elapsed = 90 * SECOND;
    status.counts.emitted = 100;
    status.counts.done = 50;
    status.counts.retried = 20;
    status.counts.rejected = 10;
    status.counts.dropped = 5;
    status.counts.abandoned = 3;
    status.counts.in_flight = 15;
    status.counts.high_water = 40;
    status.bound = 64;
    status.dropped.insert(Reason::new("cancelled"), 5);
    status.latency = one(SECOND.as_nanos());
    status.sources.push(source());
    status.stages = (0..stages).map(stage).collect();
    status.bottleneck = Some("stage 0".into());
    status
}

fn source() -> SourceStatus {
    let mut source = SourceStatus::new("broker".into());
    source.received = 100;
    source.redelivered = 7;
    source.settled.confirmed = 60;
    source.settled.sent = 1;
    source.settled.stale = 2;
    source.settled.failed = 3;
    source.failures = 4;
    source.error = Some("connection refused".to_owned());
    source.restarts = 1;
    source.lag = Some(1_200);
    source
}

fn stage(place: usize) -> StageStatus {
    let mut stage = StageStatus::new(format!("stage {place}").into(), "processor");
    stage.workers = 2;
    stage.concurrency = 16;
    stage.in_flight = 9;
    stage.counts.received = 30;
    stage.counts.sent = 20;
    stage.counts.failed = 1;
    stage.counts.panicked = 1;
    stage.counts.restarts = 1;
    stage.counts.lost_copies = 8;
    stage.queue = Some(queue());
    stage.duration = one(1_000);
    stage.queue_time = one(2_000);
    stage.busy = 45 * SECOND;
    stage.utilisation = Some(0.5);
    stage.batches = Some(batches());
    stage.reach = Some(lost());
    stage.policies = policies();
    stage
}

fn lost() -> ReachStatus {
    let mut reach = ReachStatus::default();
    reach.failures = 5;
    reach.error = Some("connection refused".to_owned());
    reach
}

fn queue() -> QueueStatus {
    let mut queue = QueueStatus::default();
    queue.depth = 3;
    queue.capacity = 32;
    queue.demand = 29;
    queue
}

fn batches() -> BatchStatus {
    let mut batches = BatchStatus::default();
    batches.closed.insert(Trigger::Count, 2);
    batches.closed.insert(Trigger::Age, 1);
    batches.size = one(64);
    batches.weight = one(4096);
    batches.age = one(1_000_000);
    batches
}

fn policies() -> Vec<PolicyStatus> {
    let mut policies = gates();
    policies.extend([
        PolicyStatus::Retry {
            max_attempts: 3,
            retried: 6,
            budget_left: Some(4),
            refused: 2,
        },
        PolicyStatus::Timeout {
            after: SECOND,
            timed_out: 1,
        },
        PolicyStatus::Timeout {
            after: 2 * SECOND,
            timed_out: 5,
        },
        PolicyStatus::Deadline {
            after: SECOND,
            exceeded: 2,
        },
        PolicyStatus::Dedup {
            keys: 1000,
            duplicates: 3,
        },
        PolicyStatus::Hedge { hedged: 4, won: 2 },
        PolicyStatus::Fallback { used: 1 },
    ]);
    policies
}

fn gates() -> Vec<PolicyStatus> {
    vec![
        PolicyStatus::RateLimit {
            calls: 500,
            per: 2 * SECOND,
            waiting: 3,
            keys: Some(2),
            waited: 11,
            waited_for: SECOND / 2,
            rejected: 1,
        },
        PolicyStatus::Concurrency {
            limit: 8,
            in_use: 7,
            waiting: 1,
            adaptive: false,
            waited: 5,
            waited_for: SECOND,
        },
        PolicyStatus::CircuitBreaker {
            state: BreakerState::HalfOpen,
            forced: ForcedBreaker::Auto,
            failure_rate: Some(0.25),
            slow_rate: Some(0.0),
            calls: 20,
            opened: 2,
            waited: 0,
            waited_for: Duration::ZERO,
            rejected: 9,
        },
    ]
}

/// One figure.
fn one(figure: impl TryInto<u64>) -> Distribution {
    let histogram = Histogram::default();
    histogram.add_figure(figure.try_into().unwrap_or(u64::MAX), 1);
    histogram.distribution()
}
