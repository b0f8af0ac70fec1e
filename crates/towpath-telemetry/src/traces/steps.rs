//! What the spans of each step look like: name, kind and attributes.

use std::{borrow::Cow, sync::Arc, time::Duration};

use opentelemetry::{
    KeyValue, Value,
    trace::{SpanBuilder, SpanKind},
};
use towpath_core::{BatchInfo, Origin, Outcome, Peer, StageName, error_kind, trace::Step};

use super::{
    names::{self, Operation},
    scene::Scene,
    text,
};

/// A span to be, and the error that it carries even when it ends well.
pub(super) struct Draft {
    name: String,
    kind: SpanKind,
    attributes: Vec<KeyValue>,
    pub(super) cause: Option<Cow<'static, str>>,
}

/// The span of the receipt of one message, for which its source was waited for that long.
pub(super) fn receipt(scene: &Scene, origin: Option<&Origin>, waited: Duration) -> Draft {
    let draft = Draft::messaging(scene, &names::POLL, &scene.source, &scene.peer)
        .with(names::POLL_WAIT, waited.as_secs_f64());
    match origin {
        Some(origin) => draft.message(scene.peer.system(), origin),
        None => draft,
    }
}

/// The span of a step of a message on its way.
pub(super) fn draft(scene: &Scene, step: &Step<'_>) -> Draft {
    match *step {
        Step::Queue { stage } => Draft::internal(scene, names::QUEUE, stage),
        Step::Process {
            stage,
            count,
            origin,
        } => process(scene, stage, count, origin),
        Step::Attempt { stage, number } => {
            Draft::internal(scene, names::ATTEMPTED, stage).with(names::ATTEMPT, i64::from(number))
        }
        Step::Wait { stage, reason } => {
            Draft::internal(scene, names::WAIT, stage).with(names::WAIT_REASON, reason)
        }
        Step::Batch { info } => batch(scene, info),
        Step::Send { sink, peer, count } => Draft::messaging(scene, &names::SEND, sink, peer)
            .with(names::MESSAGING_BATCH_COUNT, size(count)),
        Step::Create { sink, peer, origin } => {
            Draft::messaging(scene, &names::CREATE, sink, peer).identity(origin)
        }
        Step::Settle { outcome, abandoned } => settle(scene, outcome, abandoned),
        // A step that is newer than this crate.
        _ => Draft::internal(scene, "step", &scene.source),
    }
}

fn process(scene: &Scene, stage: &StageName, count: Option<usize>, origin: &Origin) -> Draft {
    let draft = Draft::messaging(scene, &names::PROCESS, stage, &scene.peer);
    match count {
        None => draft.message(scene.peer.system(), origin),
        Some(count) => draft.with(names::MESSAGING_BATCH_COUNT, size(count)),
    }
}

fn batch(scene: &Scene, info: &BatchInfo) -> Draft {
    Draft::messaging(scene, &names::BATCH, &info.batcher, &scene.peer)
        .with(names::MESSAGING_BATCH_COUNT, size(info.size))
        .with(names::BATCH_TRIGGER, info.trigger.word())
        .with(names::BATCH_AGE, info.age.as_secs_f64())
        .with(names::BATCH_WEIGHT, integer(info.weight))
}

fn settle(scene: &Scene, outcome: &Outcome, abandoned: bool) -> Draft {
    let operation = names::settles(outcome);
    let mut draft = Draft::messaging(scene, &operation, &scene.source, &scene.peer)
        .with(names::OUTCOME, outcome.word());
    if abandoned {
        draft.cause = Some(names::ABANDONED.into());
    }
    match outcome {
        Outcome::Retry {
            after, attempts, ..
        } => draft
            .with(names::RETRY_AFTER, after.as_secs_f64())
            .with(names::ATTEMPT, i64::from(*attempts)),
        Outcome::Reject(cause) => {
            draft.cause = Some(error_kind(cause.error()));
            draft
                .with(names::OUTCOME_STAGE, cause.stage().as_str().to_owned())
                .with(names::OUTCOME_REASON, text::describe(cause.error()))
        }
        Outcome::Drop(reason) => draft.with(names::OUTCOME_REASON, reason.as_str().to_owned()),
        _ => draft,
    }
}

fn size(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

// === impl Draft ===

impl Draft {
    fn new(scene: &Scene, operation: &str, stage: &StageName, kind: SpanKind) -> Self {
        let mut attributes = Vec::with_capacity(8);
        attributes.push(scene.pipeline.clone());
        attributes.push(KeyValue::new(names::STAGE, Arc::<str>::from(stage)));
        Self {
            name: names::span_name(operation, stage),
            kind,
            attributes,
            cause: None,
        }
    }

    fn internal(scene: &Scene, operation: &str, stage: &StageName) -> Self {
        Self::new(scene, operation, stage, SpanKind::Internal)
    }

    fn messaging(scene: &Scene, operation: &Operation, stage: &StageName, peer: &Peer) -> Self {
        let draft = Self::new(scene, operation.name, stage, operation.kind.clone())
            .with(names::MESSAGING_SYSTEM, peer.system())
            .with(names::MESSAGING_OPERATION_NAME, operation.name)
            .with(names::MESSAGING_OPERATION_TYPE, operation.r#type);
        match peer.shared_destination() {
            Some(name) => draft.with(names::MESSAGING_DESTINATION_NAME, name),
            None => draft,
        }
    }

    fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.attributes.push(KeyValue::new(name, value));
        self
    }

    fn identity(self, origin: &Origin) -> Self {
        match &origin.identity {
            Some(identity) => self.with(names::MESSAGING_MESSAGE_ID, Arc::<str>::from(identity)),
            None => self,
        }
    }

    /// Where in its source the message was, and how often it was tried.
    fn message(self, system: &'static str, origin: &Origin) -> Self {
        let mut draft = self.identity(origin);
        if let Some(position) = origin.position {
            let offset = match system {
                names::KAFKA => names::MESSAGING_KAFKA_OFFSET,
                _ => names::MESSAGE_OFFSET,
            };
            draft = draft
                .with(
                    names::MESSAGING_PARTITION_ID,
                    position.partition.to_string(),
                )
                .with(offset, integer(position.offset));
        }
        match origin.attempt {
            0 => draft,
            attempt => draft.with(names::ATTEMPT, i64::from(attempt)),
        }
    }

    pub(super) fn into_builder(self) -> SpanBuilder {
        SpanBuilder::from_name(self.name)
            .with_kind(self.kind)
            .with_attributes(self.attributes)
    }
}
