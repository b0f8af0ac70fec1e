//! The names of spans and attributes.
//!
//! Those that begin with `messaging.` and `error.` are of the OpenTelemetry semantic
//! conventions for messaging spans, version 1.44.0 (status: development). A span is named
//! `{messaging.operation.name} {destination}`; where the convention leaves the destination
//! out because it is not known, the name of the stage takes its place. Those that begin with
//! `towpath.` are ours, for what the convention has no word for.

use opentelemetry::trace::SpanKind;
use towpath_core::{Outcome, StageName};

/// The instrumentation scope of all spans.
pub const SCOPE: &str = "towpath";
/// The schema that the attributes of the convention follow.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

/// The kind of system: `kafka`, `nats`; `towpath` for what never left the process.
pub const MESSAGING_SYSTEM: &str = "messaging.system";
/// The topic, queue, stream or table.
pub const MESSAGING_DESTINATION_NAME: &str = "messaging.destination.name";
/// What is done, in the words of the system: `poll`, `ack`.
pub const MESSAGING_OPERATION_NAME: &str = "messaging.operation.name";
/// What is done, in the words of the convention: `receive`, `settle`.
pub const MESSAGING_OPERATION_TYPE: &str = "messaging.operation.type";
/// The identity of the message; not on spans of many.
pub const MESSAGING_MESSAGE_ID: &str = "messaging.message.id";
/// The partition the message came from, as text.
pub const MESSAGING_PARTITION_ID: &str = "messaging.destination.partition.id";
/// The offset in the partition, where the system is Kafka.
pub const MESSAGING_KAFKA_OFFSET: &str = "messaging.kafka.offset";
/// How many messages; only on spans of many.
pub const MESSAGING_BATCH_COUNT: &str = "messaging.batch.message_count";
/// The kind of the error, one of few; only where something failed.
pub const ERROR_TYPE: &str = "error.type";

/// The pipeline.
pub const PIPELINE: &str = "towpath.pipeline";
/// The stage: a source, a processor, a batcher, a sink.
pub const STAGE: &str = "towpath.stage";
/// From when the source was asked until the message came, in seconds. The span of the receipt
/// shows the last second of it.
pub const POLL_WAIT: &str = "towpath.poll.wait";
/// The offset in the source, where the system is not Kafka.
pub const MESSAGE_OFFSET: &str = "towpath.message.offset";
/// Which attempt at the message it is, over all its deliveries: 1 is the first.
pub const ATTEMPT: &str = "towpath.attempt";
/// What a policy waits for: `rate_limit`, `circuit_breaker`, `concurrency`, `backoff`.
pub const WAIT_REASON: &str = "towpath.wait.reason";
/// Why a batch was closed: `count`, `age`, `drain`.
pub const BATCH_TRIGGER: &str = "towpath.batch.trigger";
/// How long the first message was in the batch when it was closed, in seconds.
pub const BATCH_AGE: &str = "towpath.batch.age";
/// What the messages of a batch weigh together.
pub const BATCH_WEIGHT: &str = "towpath.batch.weight";
/// The outcome of the message: `done`, `retried`, `rejected` or `dropped`.
pub const OUTCOME: &str = "towpath.outcome";
/// Why the message was rejected or dropped.
pub const OUTCOME_REASON: &str = "towpath.outcome.reason";
/// The stage that the message failed at for good.
pub const OUTCOME_STAGE: &str = "towpath.outcome.stage";
/// How long the source is to wait before it delivers the message again, in seconds.
pub const RETRY_AFTER: &str = "towpath.retry.after";
/// How many links a span had no room for; only where there are any.
pub const LINKS_DROPPED: &str = "towpath.links.dropped";

/// The `error.type` of what was given up: cancelled, aborted, forgotten.
pub const ABANDONED: &str = "abandoned";
/// The system whose offsets have an attribute of their own.
pub(super) const KAFKA: &str = "kafka";

/// An operation of the messaging conventions, with the kind of its spans.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Operation {
    /// The value of [`MESSAGING_OPERATION_NAME`], and the first word of the span's name.
    pub name: &'static str,
    /// The value of [`MESSAGING_OPERATION_TYPE`].
    pub r#type: &'static str,
    /// The kind of the span.
    pub kind: SpanKind,
}

/// A source was asked for messages.
pub const POLL: Operation = Operation::new("poll", "receive", SpanKind::Client);
/// A processor works on a message.
pub const PROCESS: Operation = Operation::new("process", "process", SpanKind::Consumer);
/// Messages are together in a batch, until it is written.
pub const BATCH: Operation = Operation::new("batch", "process", SpanKind::Consumer);
/// A sink writes messages. Not a producer span: each message has its own, [`CREATE`].
pub const SEND: Operation = Operation::new("send", "send", SpanKind::Client);
/// A message is made for a sink; its context travels in what is sent.
pub const CREATE: Operation = Operation::new("create", "create", SpanKind::Producer);
/// A source is told that a message is done, or dropped.
pub const ACK: Operation = Operation::new("ack", "settle", SpanKind::Client);
/// A source is told that a message comes back.
pub const NACK: Operation = Operation::new("nack", "settle", SpanKind::Client);
/// A source is told that a message was rejected.
pub const REJECT: Operation = Operation::new("reject", "settle", SpanKind::Client);

/// A message waits for a stage.
pub const QUEUE: &str = "queue";
/// One attempt at a message.
pub const ATTEMPTED: &str = "attempt";
/// A message waits for a policy.
pub const WAIT: &str = "wait";

/// The name of a span: what is done, and where.
pub fn span_name(operation: &str, stage: &StageName) -> String {
    let stage = stage.as_str();
    let mut name = String::with_capacity(operation.len() + 1 + stage.len());
    name.push_str(operation);
    name.push(' ');
    name.push_str(stage);
    name
}

/// How a source is told of an outcome.
pub fn settles(outcome: &Outcome) -> Operation {
    match outcome {
        Outcome::Retry { .. } => NACK,
        Outcome::Reject(_) => REJECT,
        _ => ACK,
    }
}

// === impl Operation ===

impl Operation {
    const fn new(name: &'static str, r#type: &'static str, kind: SpanKind) -> Self {
        Self { name, r#type, kind }
    }
}
