//! What the engine asks of whoever traces messages: to choose them, and to take their spans.
//!
//! The engine asks a [`Tracer`] once per chunk of deliveries which of them are traced. Only
//! those have a [`Journey`]; the others carry a bit that is not set. Times are the pipeline's
//! own: since it began.

mod context;
mod journey;
mod write;

use std::{borrow::Cow, error::Error, fmt, sync::Arc, time::Duration};

pub use context::{Entered, current, enter, inject};
pub use journey::Journey;
pub use write::{TracedWrite, within, written};

use crate::{BatchInfo, Headers, Origin, Outcome, Peer, StageName};

/// Chooses the messages that are traced, and begins their traces. One for each pipeline.
pub trait Tracer: Send + Sync + 'static {
    /// Chooses among the deliveries of a chunk, before any span is built, and begins the
    /// traces of those: with the span of their receipt, which has ended.
    ///
    /// In the order of the deliveries; nothing for those that are not traced.
    fn begin(&self, arrival: &Arrival<'_>) -> Vec<Begun>;
}

/// The trace of one delivery, begun.
#[derive(Clone, Debug)]
pub struct Begun {
    /// The delivery, by its place in the chunk.
    pub index: u32,
    /// The span that all others of the message are children of.
    pub root: Arc<dyn Span>,
}

/// Deliveries that a source has handed out together.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Arrival<'a> {
    /// The source.
    pub source: &'a StageName,
    /// What is at the other side of it.
    pub peer: &'a Peer,
    /// How many there are.
    pub count: u32,
    /// Where they came from, with their headers; empty where nothing is known.
    pub origins: &'a [Origin],
    /// When the source was asked.
    pub asked_at: Duration,
    /// When it had answered.
    pub came_at: Duration,
}

/// A span of a trace, from its start to its end. Ends when it is dropped, if not before.
pub trait Span: Send + Sync + fmt::Debug + 'static {
    /// Begins a child.
    fn start(&self, step: &Step<'_>, at: Duration) -> Arc<dyn Span>;

    /// Points to another span, of the same trace or another.
    fn link(&self, to: &dyn Span);

    /// Makes the span the current one of the thread, for code that begins spans of its own:
    /// those are children. Until what is returned is dropped, in the reverse order.
    fn enter(&self) -> Box<dyn Scope>;

    /// What to send along, so that the receiver goes on with the trace: `traceparent` and
    /// whatever else the tracer writes.
    fn headers(&self) -> Headers;

    /// The identity of the trace and of the span.
    fn id(&self) -> SpanId;

    /// Ends the span. Only the first call counts.
    fn end(&self, end: &End<'_>, at: Duration);
}

/// A span that is the current one until this is dropped. It stays on its thread.
pub trait Scope {}

/// The identity of a span, as W3C Trace Context has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanId {
    /// The trace: 16 bytes, big endian.
    pub trace: u128,
    /// The span in it: 8 bytes, big endian.
    pub span: u64,
}

/// What a span is about.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Step<'a> {
    /// The message waits for a stage: in links, in open batches.
    Queue {
        /// The stage.
        stage: &'a StageName,
    },
    /// A processor works on it.
    Process {
        /// The stage.
        stage: &'a StageName,
        /// How many messages it works on in one call; `None` where that is always one.
        count: Option<usize>,
        /// Where the message came from.
        origin: &'a Origin,
    },
    /// One attempt of a processor at it.
    Attempt {
        /// The stage.
        stage: &'a StageName,
        /// Which one, over all deliveries of the message: 1 is the first.
        number: u32,
    },
    /// It waits for a policy of a processor: before the stage has taken it, or between two
    /// attempts.
    Wait {
        /// The stage.
        stage: &'a StageName,
        /// What it waits for: `rate_limit`, `circuit_breaker`, `concurrency`, `backoff`, `service`.
        reason: &'static str,
    },
    /// It is in a batch. Of all its members, the first that is traced has this span; it
    /// [links](Span::link) to the others.
    Batch {
        /// The batch.
        info: &'a BatchInfo,
    },
    /// A sink writes the batch: a child of that one.
    Send {
        /// The sink.
        sink: &'a StageName,
        /// What is at the other side of it.
        peer: &'a Peer,
        /// How many messages it writes at once.
        count: usize,
    },
    /// A sink writes this message, with others or alone. What is sent carries this span's
    /// [headers](Span::headers).
    Create {
        /// The sink.
        sink: &'a StageName,
        /// What is at the other side of it.
        peer: &'a Peer,
        /// Where the message came from.
        origin: &'a Origin,
    },
    /// Its source is told the outcome, or would be if it wanted to know.
    Settle {
        /// The outcome.
        outcome: &'a Outcome,
        /// Whether nobody settled it: aborted, cancelled or forgotten.
        abandoned: bool,
    },
}

/// How a span ends.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum End<'a> {
    /// Well.
    Done,
    /// With an error.
    Failed {
        /// The kind of the error, one of few: `timeout`, `panic`, `429`.
        kind: Cow<'static, str>,
        /// The error.
        error: &'a (dyn Error + 'static),
    },
    /// It was given up: the call was cancelled, the worker ended.
    Abandoned,
}

// === impl Arrival ===

impl<'a> Arrival<'a> {
    /// Deliveries of `source`, which was asked and had answered at these times.
    pub fn new(
        source: &'a StageName,
        peer: &'a Peer,
        asked_at: Duration,
        came_at: Duration,
    ) -> Self {
        Self {
            source,
            peer,
            count: 0,
            origins: &[],
            asked_at,
            came_at,
        }
    }

    /// With the deliveries.
    #[must_use]
    pub fn deliveries(mut self, count: u32, origins: &'a [Origin]) -> Self {
        self.count = count;
        self.origins = origins;
        self
    }
}

// === impl End ===

impl<'a> End<'a> {
    /// With an error whose kind is not known.
    pub fn failed(error: &'a (dyn Error + 'static)) -> Self {
        Self::Failed {
            kind: crate::error_kind(error),
            error,
        }
    }

    /// With an error of that kind.
    pub fn failed_as(kind: impl Into<Cow<'static, str>>, error: &'a (dyn Error + 'static)) -> Self {
        Self::Failed {
            kind: kind.into(),
            error,
        }
    }
}

// === impl SpanId ===

impl fmt::Display for SpanId {
    /// As in a `traceparent`: `trace-span`, in hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}-{:016x}", self.trace, self.span)
    }
}
