//! Looks after pipelines: whom to ask, and what to do for them.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use towpath_core::{Attached, Inspect, Phase, StageName, Status, Telemetry, Timing, trace::Tracer};

use crate::{events::EventLog, metrics::Extra};

/// How many pipelines are remembered after their end.
const ENDED: usize = 64;

/// Looks after pipelines. Clones share what they know.
///
/// ```
/// use towpath_telemetry::Monitor;
///
/// let monitor = Monitor::new();
/// assert!(monitor.statuses().is_empty());
/// ```
#[derive(Clone, Default)]
pub struct Monitor {
    watched: Arc<Mutex<VecDeque<Arc<dyn Inspect>>>>,
    tracers: Option<Arc<dyn Tracers>>,
    events: EventLog,
    extras: Arc<Mutex<Vec<Arc<dyn Extra>>>>,
    timing: Timing,
}

/// Makes the tracer of each pipeline.
pub trait Tracers: Send + Sync + 'static {
    /// The tracer of a pipeline whose clock starts now.
    fn tracer(&self, pipeline: &StageName) -> Arc<dyn Tracer>;
}

impl Monitor {
    /// Looks after pipelines, and times their calls once per chunk.
    pub fn new() -> Self {
        Self {
            timing: Timing::Chunks,
            ..Self::default()
        }
    }

    /// Times calls so closely.
    #[must_use]
    pub fn timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// Traces messages.
    #[must_use]
    pub fn traced_by(mut self, tracers: impl Tracers) -> Self {
        self.tracers = Some(Arc::new(tracers));
        self
    }

    /// Keeps what happens in `events`: a log of another size, one that is durable, or one that
    /// several share.
    #[must_use]
    pub fn logged_to(mut self, events: EventLog) -> Self {
        self.events = events;
        self
    }

    /// Shows figures of something else among those of the pipelines; all clones do.
    pub fn show(&self, figures: impl Extra) {
        self.extras_mut().push(Arc::new(figures));
    }

    /// What is shown beside the pipelines.
    pub(crate) fn extras(&self) -> Vec<Arc<dyn Extra>> {
        self.extras_mut().clone()
    }

    fn extras_mut(&self) -> MutexGuard<'_, Vec<Arc<dyn Extra>>> {
        self.extras.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happened in the pipelines.
    pub fn events(&self) -> &EventLog {
        &self.events
    }

    /// How each pipeline is doing, also those that have ended, by name.
    pub fn statuses(&self) -> Vec<Status> {
        let watched: Vec<_> = self.lock().iter().cloned().collect();
        let mut statuses: Vec<_> = watched.iter().map(|pipeline| pipeline.status()).collect();
        statuses.sort_by(|a, b| a.name.cmp(&b.name));
        statuses
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<dyn Inspect>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Telemetry for Monitor {
    fn attach(&self, pipeline: &StageName) -> Attached {
        let tracers = self.tracers.as_ref();
        Attached::default()
            .tracer(tracers.map(|tracers| tracers.tracer(pipeline)))
            .observer(Some(self.events.observer(pipeline)))
            .timing(self.timing)
    }

    /// Takes the place of an earlier pipeline of that name; the oldest that have ended are
    /// forgotten.
    fn watch(&self, pipeline: Arc<dyn Inspect>) {
        let mut watched = self.lock();
        watched.retain(|known| known.name() != pipeline.name());
        while watched.len() >= ENDED
            && let Some(ended) = watched.iter().position(|p| p.phase() == Phase::Stopped)
        {
            watched.remove(ended);
        }
        watched.push_back(pipeline);
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor")
            .field("timing", &self.timing)
            .field("pipelines", &self.lock().len())
            .finish_non_exhaustive()
    }
}
