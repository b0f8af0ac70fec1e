//! Every metric there is, in the order in which they are shown.

use super::{Kind, Metric, Scale};

const PIPELINE: &[&str] = &["pipeline"];
const SOURCE: &[&str] = &["pipeline", "source"];
const STAGE: &[&str] = &["pipeline", "stage", "kind"];
const POLICY: &[&str] = &["pipeline", "stage", "kind", "policy"];

/// Defines each metric as a static of its own, and the list of all of them.
macro_rules! metrics {
    ($($name:ident = $metric:literal, $unit:literal, $kind:expr, $labels:expr, $help:literal;)*) => {
        $(
            #[doc = $help]
            pub static $name: Metric = Metric {
                name: $metric,
                unit: $unit,
                kind: $kind,
                help: $help,
                labels: $labels,
            };
        )*

        /// All metrics.
        pub static ALL: &[&Metric] = &[$(&$name),*];
    };
}

use Kind::{Counter, Gauge, Histogram, UpDown};

metrics! {
    // Pipelines.
    PIPELINE_EMITTED = "towpath.pipeline.emitted", "{message}", Counter, PIPELINE,
        "Messages taken from the sources.";
    PIPELINE_OUTCOMES = "towpath.pipeline.outcomes", "{message}", Counter,
        &["pipeline", "outcome"],
        "Messages that have their outcome: done, retried, rejected or dropped.";
    PIPELINE_DROPPED = "towpath.pipeline.dropped", "{message}", Counter, &["pipeline", "reason"],
        "Messages left out on purpose, by reason; beyond 64 reasons, the rest as other.";
    PIPELINE_ABANDONED = "towpath.pipeline.abandoned", "{message}", Counter, PIPELINE,
        "Messages given back because nobody settled them; they count as retried too.";
    PIPELINE_LATENCY = "towpath.pipeline.latency", "s", Histogram(Scale::Durations), PIPELINE,
        "Time from the source to the outcome, of messages that are done.";
    PIPELINE_IN_FLIGHT = "towpath.pipeline.in_flight", "{message}", UpDown, PIPELINE,
        "Messages without an outcome yet.";
    PIPELINE_IN_FLIGHT_LIMIT = "towpath.pipeline.in_flight_limit", "{message}", UpDown, PIPELINE,
        "The most messages that can be in flight.";
    PIPELINE_IN_FLIGHT_HIGH_WATER = "towpath.pipeline.in_flight_high_water", "{message}", Gauge,
        PIPELINE,
        "The most messages that ever were in flight.";
    PIPELINE_PHASE = "towpath.pipeline.phase", "{pipeline}", UpDown, &["pipeline", "phase"],
        "1 for the phase that the pipeline is in: running, paused, draining or stopped.";
    PIPELINE_UPTIME = "towpath.pipeline.uptime", "s", Gauge, PIPELINE,
        "How long the pipeline has run.";

    // Sources.
    SOURCE_RECEIVED = "towpath.source.received", "{message}", Counter, SOURCE,
        "Messages received from the source.";
    SOURCE_REDELIVERED = "towpath.source.redelivered", "{message}", Counter, SOURCE,
        "Messages received that the source has delivered before.";
    SOURCE_SETTLED = "towpath.source.settled", "{message}", Counter,
        &["pipeline", "source", "result"],
        "Outcomes told to the source: confirmed, sent (it does not confirm), stale (too late) or \
         failed (not told).";
    SOURCE_FAILURES = "towpath.source.failures", "{failure}", Counter, SOURCE,
        "Calls that failed because the source was out of reach.";
    SOURCE_UP = "towpath.source.up", "{source}", UpDown, SOURCE,
        "1 while the source can be reached, 0 since a call has failed.";
    SOURCE_RESTARTS = "towpath.source.restarts", "{restart}", Counter, SOURCE,
        "Times the task of the source was started again.";
    SOURCE_LAG = "towpath.source.lag", "{message}", UpDown, SOURCE,
        "Messages that wait in the source, as far as it knows; only of sources that say.";

    // Stages.
    STAGE_RECEIVED = "towpath.stage.received", "{message}", Counter, STAGE,
        "Messages taken in.";
    STAGE_ADDED = "towpath.stage.added", "{message}", Counter, STAGE,
        "Parts that messages were split into, beyond the first of each.";
    STAGE_SENT = "towpath.stage.sent", "{message}", Counter, STAGE,
        "Messages handed on, or written.";
    STAGE_FAILED = "towpath.stage.failed", "{message}", Counter, STAGE,
        "Messages that failed, panics included.";
    STAGE_DROPPED = "towpath.stage.dropped", "{message}", Counter, STAGE,
        "Messages that went no further and have not failed: left out on purpose, or split into \
         nothing.";
    STAGE_GIVEN_BACK = "towpath.stage.given_back", "{message}", Counter, STAGE,
        "Messages that went back to their source from inside the stage.";
    STAGE_PANICKED = "towpath.stage.panicked", "{message}", Counter, STAGE,
        "Messages that failed by a panic.";
    STAGE_RESTARTS = "towpath.stage.restarts", "{restart}", Counter, STAGE,
        "Workers that were started again.";
    STAGE_LOST_COPIES = "towpath.stage.lost_copies", "{message}", Counter, STAGE,
        "Best-effort copies that found no room.";
    SINK_FAILURES = "towpath.sink.failures", "{failure}", Counter, STAGE,
        "Calls that failed because the sink was out of reach; only of sinks of servers.";
    SINK_UP = "towpath.sink.up", "{sink}", UpDown, STAGE,
        "1 while the sink can be reached, 0 since a call has failed; only of sinks of servers.";
    STAGE_WORKERS = "towpath.stage.workers", "{task}", UpDown, STAGE,
        "Tasks that the stage runs on.";
    STAGE_CONCURRENCY = "towpath.stage.concurrency", "{message}", UpDown, STAGE,
        "How many messages (of a sink: batches) the stage works on at once.";
    STAGE_IN_FLIGHT = "towpath.stage.in_flight", "{message}", UpDown, STAGE,
        "How many it works on now, those that it has parked included. What waits in front of a \
         limit or a breaker is still in the queue.";
    STAGE_DURATION = "towpath.stage.duration", "s", Histogram(Scale::Durations), STAGE,
        "How long calls took (of a sink: writes).";
    STAGE_QUEUE_TIME = "towpath.stage.queue_time", "s", Histogram(Scale::Durations), STAGE,
        "How long messages waited in front of the stage.";
    STAGE_BUSY = "towpath.stage.busy", "s", Counter, STAGE,
        "Time that the slots of the stage were busy, added up; its rate over the concurrency is \
         the utilization.";
    STAGE_UTILIZATION = "towpath.stage.utilization", "1", Gauge, STAGE,
        "The part of its slots that were busy since the pipeline began, 0 to 1.";
    STAGE_BOTTLENECK = "towpath.stage.bottleneck", "{stage}", UpDown, STAGE,
        "1 for the stage that holds the others back, where one does.";

    // Queues.
    QUEUE_DEPTH = "towpath.queue.depth", "{item}", UpDown, STAGE,
        "Items that wait in front of the stage (before a sink behind a batcher: batches).";
    QUEUE_CAPACITY = "towpath.queue.capacity", "{item}", UpDown, STAGE,
        "The most items that can wait in front of the stage.";
    QUEUE_DEMAND = "towpath.queue.demand", "{item}", UpDown, STAGE,
        "Items that the stage asks for and that nobody has sent yet.";

    // Batches.
    BATCH_CLOSED = "towpath.batch.closed", "{batch}", Counter,
        &["pipeline", "stage", "kind", "trigger"],
        "Batches closed, by what closed them.";
    BATCH_SIZE = "towpath.batch.size", "{message}", Histogram(Scale::Sizes), STAGE,
        "Messages per batch.";
    BATCH_WEIGHT = "towpath.batch.weight", "{weight}", Histogram(Scale::Weights), STAGE,
        "Weight per batch: bytes, where it is bytes that are weighed.";
    BATCH_AGE = "towpath.batch.age", "s", Histogram(Scale::Durations), STAGE,
        "How old batches were when they closed.";

    // Policies.
    POLICY_WAITING = "towpath.policy.waiting", "{call}", UpDown, POLICY,
        "Calls that wait for their turn now.";
    POLICY_WAITED = "towpath.policy.waited", "{call}", Counter, POLICY,
        "How often calls have waited for their turn, or for a breaker to close; each attempt \
         counts.";
    POLICY_WAIT_TIME = "towpath.policy.wait_time", "s", Counter, POLICY,
        "Time that calls have waited for their turn, or for a breaker to close, added up.";
    POLICY_REJECTED = "towpath.policy.rejected", "{call}", Counter, POLICY,
        "Calls that the policy refused: there was no room to wait, or the breaker was open.";
    RATE_LIMIT_CALLS = "towpath.rate_limit.calls", "{call}/s", Gauge, POLICY,
        "The calls that the limit lets through.";
    RATE_LIMIT_KEYS = "towpath.rate_limit.keys", "{key}", UpDown, POLICY,
        "Keys that have a budget of their own now.";
    CONCURRENCY_LIMIT = "towpath.concurrency.limit", "{call}", UpDown, POLICY,
        "How many calls may run at once now.";
    CONCURRENCY_IN_USE = "towpath.concurrency.in_use", "{call}", UpDown, POLICY,
        "How many calls run now.";
    BREAKER_STATE = "towpath.breaker.state", "{breaker}", UpDown,
        &["pipeline", "stage", "kind", "policy", "state"],
        "1 for the state that the circuit breaker is in: closed, open or half open.";
    BREAKER_FORCED = "towpath.breaker.forced", "{breaker}", UpDown, POLICY,
        "1 while somebody has forced the circuit breaker open or closed.";
    BREAKER_OPENED = "towpath.breaker.opened", "{opening}", Counter, POLICY,
        "How often the circuit breaker has opened.";
    BREAKER_FAILURE_RATE = "towpath.breaker.failure_rate", "1", Gauge, POLICY,
        "The part of the calls in its window that failed, 0 to 1.";
    BREAKER_SLOW_RATE = "towpath.breaker.slow_rate", "1", Gauge, POLICY,
        "The part of the calls in its window that were slow, 0 to 1.";
    RETRY_RETRIED = "towpath.retry.retried", "{attempt}", Counter, POLICY,
        "Attempts beyond the first.";
    RETRY_REFUSED = "towpath.retry.refused", "{attempt}", Counter, POLICY,
        "Attempts that the budget refused.";
    RETRY_BUDGET_LEFT = "towpath.retry.budget_left", "{attempt}", UpDown, POLICY,
        "Attempts beyond the first that the budget allows now.";
    TIMEOUT_TIMED_OUT = "towpath.timeout.timed_out", "{attempt}", Counter, POLICY,
        "Attempts cut short.";
    DEADLINE_EXCEEDED = "towpath.deadline.exceeded", "{call}", Counter, POLICY,
        "Calls cut short, all attempts and waits included.";
    DEDUP_DUPLICATES = "towpath.dedup.duplicates", "{call}", Counter, POLICY,
        "Calls left out because their key was seen already.";
    DEDUP_KEYS = "towpath.dedup.keys", "{key}", UpDown, POLICY,
        "Keys that are remembered.";
    HEDGE_HEDGED = "towpath.hedge.hedged", "{call}", Counter, POLICY,
        "Second calls made beside a slow one.";
    HEDGE_WON = "towpath.hedge.won", "{call}", Counter, POLICY,
        "Second calls that answered first.";
    FALLBACK_USED = "towpath.fallback.used", "{call}", Counter, POLICY,
        "Answers given instead of a call that failed.";

    // The runtime of the process.
    TOKIO_WORKERS = "towpath.tokio.workers", "{thread}", UpDown, &[],
        "Worker threads of the tokio runtime.";
    TOKIO_ALIVE_TASKS = "towpath.tokio.alive_tasks", "{task}", UpDown, &[],
        "Tasks of the tokio runtime that have not ended.";
    TOKIO_QUEUE_DEPTH = "towpath.tokio.queue_depth", "{task}", UpDown, &[],
        "Tasks that wait in the global queue of the tokio runtime.";
    TOKIO_BUSY = "towpath.tokio.busy", "s", Counter, &[],
        "Time that the worker threads were busy, added up.";
    TOKIO_PARKS = "towpath.tokio.parks", "{park}", Counter, &[],
        "How often worker threads went to sleep, added up.";

    // What telemetry does itself.
    TELEMETRY_EXPORTED = "towpath.telemetry.exported", "{item}", Counter, &["signal"],
        "What the collector has taken, or what was written to a file: spans, logs, pushes of \
         metrics, events.";
    TELEMETRY_WAITING = "towpath.telemetry.waiting", "{item}", UpDown, &["signal"],
        "What waits to be taken by the collector.";
    TELEMETRY_LOST = "towpath.telemetry.lost", "{item}", Counter, &["signal", "reason"],
        "What nobody will see: it found no room (overflowed), was not taken (failed), is of a \
         kind that the collector does not know (unwanted), or was cut off by the shutdown (cut_off).";
}
