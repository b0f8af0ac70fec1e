//! Who is told how a pipeline is doing, and what the pipeline lets itself be asked.

use std::{fmt, sync::Arc};

use crate::{Observer, Phase, StageName, Status, trace::Tracer};

/// Looks after pipelines: takes their traces and events, and reads their figures.
pub trait Telemetry: Send + Sync + 'static {
    /// A pipeline of that name is about to begin: says what it wants to be told. Its clock
    /// starts with this call.
    fn attach(&self, pipeline: &StageName) -> Attached;

    /// The pipeline has begun, and can be asked from now on, also when it has ended.
    fn watch(&self, pipeline: Arc<dyn Inspect>);
}

/// What a pipeline does for its telemetry.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Attached {
    /// Chooses messages to trace, and takes their spans.
    pub tracer: Option<Arc<dyn Tracer>>,
    /// Is told what happens, beside the observer of the pipeline.
    pub observer: Option<Arc<dyn Observer>>,
    /// How closely calls are timed.
    pub timing: Timing,
}

/// How closely a pipeline times its calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Timing {
    /// Not at all: no duration, queue time or utilisation is known.
    #[default]
    Off,
    /// Once per chunk: calls that end at once count with their mean.
    Chunks,
    /// Each call by itself.
    Messages,
}

/// A pipeline that can be asked how it is doing, while it runs and when it has ended.
pub trait Inspect: Send + Sync + 'static {
    /// Its name.
    fn name(&self) -> &StageName;

    /// Where it is in its life.
    fn phase(&self) -> Phase;

    /// How it is doing. Reads counters; costs the pipeline nothing.
    fn status(&self) -> Status;

    /// Its stages and their connections, for people: a diagram in Mermaid's language.
    fn diagram(&self) -> String;
}

// === impl Attached ===

impl Attached {
    /// Traces with `tracer`.
    #[must_use]
    pub fn tracer(mut self, tracer: Option<Arc<dyn Tracer>>) -> Self {
        self.tracer = tracer;
        self
    }

    /// Tells `observer`.
    #[must_use]
    pub fn observer(mut self, observer: Option<Arc<dyn Observer>>) -> Self {
        self.observer = observer;
        self
    }

    /// Times calls so closely.
    #[must_use]
    pub fn timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attached")
            .field("tracer", &self.tracer.is_some())
            .field("observer", &self.observer.is_some())
            .field("timing", &self.timing)
            .finish()
    }
}
