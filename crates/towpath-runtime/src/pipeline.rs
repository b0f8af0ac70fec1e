//! A pipeline from end to end: plain data until it is run.

use std::{
    fmt,
    num::{NonZeroU32, NonZeroUsize},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::task::JoinSet;
use towpath_batcher::SinkStage;
use towpath_core::{DeadLetter, Guarantee, Observer, Sink, StageName, Telemetry};

use crate::{
    BuildError, Explanation, PipelineHandle, Report, Restarts, RunError, Topology,
    assembly::Assembly,
    dead_letters::{LETTERS, add_letters},
    plan::Plan,
    promise::Promises,
    start::start,
};

/// Messages per chunk, unless said otherwise.
const MAX_DEMAND: NonZeroUsize = NonZeroUsize::new(64).expect("64 is not zero");
/// The most messages that a chunk may be asked to hold: memory is for more than one link.
const MOST_DEMAND: usize = 1 << 20;
/// How long a drain may take, unless said otherwise.
const DRAIN: Duration = Duration::from_secs(30);

type Connect = Box<dyn FnOnce(&mut Assembly) + Send>;

/// A pipeline from its sources to its sinks.
///
/// Building one has no side effects: nothing is opened and nothing runs before
/// [`run`](Self::run) or [`start`](Self::start).
#[must_use = "a pipeline does nothing until it runs"]
pub struct Pipeline {
    pub(crate) plan: Plan,
    pub(crate) promises: Promises,
    pub(crate) connect: Connect,
    pub(crate) letters: Option<Connect>,
    pub(crate) settings: Settings,
}

/// What holds for a pipeline as a whole.
#[derive(Clone)]
#[non_exhaustive]
pub struct Settings {
    /// Its name; unique among those that run.
    pub name: StageName,
    /// Messages per chunk: the most that is asked for at once.
    pub max_demand: NonZeroUsize,
    /// The most messages in flight, where that is less than the topology allows.
    pub budget: Option<u64>,
    /// How long a message may take from its receipt to its outcome.
    pub deadline: Option<Duration>,
    /// How often a message is tried, over all its deliveries; `None` as long as it takes.
    pub max_attempts: Option<NonZeroU32>,
    /// How long a drain may take before what is left is given back.
    pub drain_deadline: Duration,
    /// How often workers may die.
    pub restarts: Restarts,
    /// What it must promise to be built.
    pub require: Option<Guarantee>,
    /// Who is told what happens.
    pub observer: Option<Arc<dyn Observer>>,
    /// Who looks after it.
    pub telemetry: Option<Arc<dyn Telemetry>>,
    /// Options that make no sense.
    pub(crate) problems: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, Relaxed);
        Self {
            name: format!("pipeline-{number}").into(),
            max_demand: MAX_DEMAND,
            budget: None,
            deadline: None,
            max_attempts: None,
            drain_deadline: DRAIN,
            restarts: Restarts::default(),
            require: None,
            observer: None,
            telemetry: None,
            problems: Vec::new(),
        }
    }
}

impl Pipeline {
    pub(crate) fn ending(
        plan: Plan,
        promises: Promises,
        connect: impl FnOnce(&mut Assembly) + Send + 'static,
    ) -> Self {
        Self {
            plan,
            promises,
            connect: Box::new(connect),
            letters: None,
            settings: Settings::default(),
        }
    }

    /// Names the pipeline. No two of the same name can run.
    pub fn named(mut self, name: impl Into<StageName>) -> Self {
        self.settings.name = name.into();
        self
    }

    /// Writes what is rejected to a sink; a message is settled once its letter is written.
    ///
    /// While the sink fails, it is tried again with backoff, and the pipeline waits.
    pub fn dead_letter<S: Sink<DeadLetter>>(mut self, sink: SinkStage<S>) -> Self {
        let info = sink.info().of_kind(LETTERS);
        self.plan.add(info);
        self.letters = Some(Box::new(move |assembly| add_letters(assembly, sink)));
        self
    }

    /// Asks for at most `messages` at once: the capacity of a chunk (64).
    pub fn max_demand(mut self, messages: usize) -> Self {
        match NonZeroUsize::new(messages) {
            Some(demand) if messages <= MOST_DEMAND => self.settings.max_demand = demand,
            _ => self.problem(format!("max_demand must be 1 to {MOST_DEMAND}")),
        }
        self
    }

    /// Lets at most `messages` be in flight over the whole pipeline, where that is less
    /// than the topology allows.
    ///
    /// What sources have received while others used the budget up waits in their hands,
    /// a chunk each at most beside what they push unasked.
    pub fn budget(mut self, messages: u64) -> Self {
        match messages {
            0 => self.problem("budget must be at least 1".to_owned()),
            _ => self.settings.budget = Some(messages),
        }
        self
    }

    /// Gives each message that long from its receipt to its outcome, through all stages.
    ///
    /// The time runs on while a message waits. A processor starts no call and no further
    /// attempt of a message whose time is over, and one with policies cuts short the one that
    /// runs: the message is rejected. Handlers read what is left with `deadline()`. A message
    /// that is delivered again starts anew. Not limited unless set.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        if deadline.is_zero() {
            self.problem("deadline must be longer than zero".to_owned());
        } else {
            self.settings.deadline = Some(deadline);
        }
        self
    }

    /// Rejects a message that a stage would give back to its source from its last attempt.
    ///
    /// Counted are the attempts of all its deliveries, as far as its source knows them, and
    /// those made in place; the [cause](towpath_core::Cause) of its dead letter is
    /// [`AttemptsExhausted`](towpath_core::AttemptsExhausted). What was cut off, by the death
    /// of a worker or of the process, is not given up here, however often that happens. Not
    /// limited unless set: a message is given back as long as it takes, so that an outage
    /// costs none.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        match NonZeroU32::new(attempts) {
            Some(attempts) => self.settings.max_attempts = Some(attempts),
            None => self.problem("max_attempts must be at least 1".to_owned()),
        }
        self
    }

    fn problem(&mut self, problem: String) {
        self.settings.problems.push(problem);
    }

    /// How long a drain may take before what is left is given back (30 s), and closing a source
    /// after its last outcome.
    pub fn drain_deadline(mut self, deadline: Duration) -> Self {
        self.settings.drain_deadline = deadline;
        self
    }

    /// How often workers may die before the pipeline gives up.
    pub fn restarts(mut self, restarts: Restarts) -> Self {
        self.settings.restarts = restarts;
        self
    }

    /// Refuses to start unless source, stages and sinks together promise at least this.
    pub fn require(mut self, guarantee: Guarantee) -> Self {
        self.settings.require = Some(guarantee);
        self
    }

    /// Tells `observer` what happens. It must not block.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.settings.observer = Some(Arc::new(observer));
        self
    }

    /// Lets `telemetry` look after the pipeline: trace its messages, read its figures, keep
    /// its events. It is asked once, as the pipeline starts.
    pub fn telemetry(mut self, telemetry: impl Telemetry) -> Self {
        self.settings.telemetry = Some(Arc::new(telemetry));
        self
    }

    /// What source, stages and sinks together promise for each message, and why no more.
    pub fn delivery_guarantee(&self) -> (Guarantee, Vec<String>) {
        self.promises.guarantee()
    }

    /// The stages and their connections.
    pub fn topology(&self) -> Topology {
        Topology {
            name: self.settings.name.clone(),
            deadline: self.settings.deadline,
            plan: self.plan.clone(),
        }
    }

    /// What is fused, where a hop is paid, and the bound of what is in flight.
    pub fn explain(&self) -> Explanation {
        let (promised, reasons) = self.promises.guarantee();
        let why = if reasons.is_empty() {
            String::new()
        } else {
            format!(" ({})", reasons.join("; "))
        };
        Explanation {
            topology: self.topology(),
            max_demand: self.settings.max_demand.get(),
            budget: self.settings.budget,
            promise: format!("{promised}{why}"),
        }
    }

    /// Checks the pipeline without starting it.
    ///
    /// # Errors
    /// Reports every problem with its stage and option.
    pub fn check(&self) -> Result<(), BuildError> {
        crate::start::check(self)
    }

    /// Starts the pipeline on the current tokio runtime.
    ///
    /// # Errors
    /// Fails when the pipeline is not valid, its name is taken, or a local resource of a
    /// source or sink is missing. Nothing runs then.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing runs until it returns.
    pub async fn start(self) -> Result<Running, BuildError> {
        start(self).await
    }

    /// Runs until every source has ended and everything is settled.
    ///
    /// # Errors
    /// As [`start`](Self::start). What happens later is in the report.
    ///
    /// # Cancel safety
    /// Dropping the future stops the pipeline at once; what was in flight is given back.
    pub async fn run(self) -> Result<Report, RunError> {
        self.start().await?.join().await
    }

    /// As [`run`](Self::run), and drains when `shutdown` is done.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    ///
    /// # Cancel safety
    /// As [`run`](Self::run).
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> Result<Report, RunError> {
        let running = self.start().await?;
        let handle = running.handle().clone();
        let mut join = std::pin::pin!(running.join());
        tokio::select! {
            report = &mut join => return report,
            () = shutdown => handle.drain(),
        }
        join.await
    }
}

/// A pipeline that runs. Dropping it stops it at once.
#[derive(Debug)]
#[must_use = "dropping it stops the pipeline"]
pub struct Running {
    handle: PipelineHandle,
    supervisor: JoinSet<Report>,
}

impl Running {
    pub(crate) fn new(handle: PipelineHandle, supervisor: JoinSet<Report>) -> Self {
        Self { handle, supervisor }
    }

    /// The handle of the pipeline; clones of it outlive this.
    pub fn handle(&self) -> &PipelineHandle {
        &self.handle
    }

    /// Waits until the pipeline has ended.
    ///
    /// # Errors
    /// Fails when the runtime ends before the pipeline does.
    ///
    /// # Cancel safety
    /// Dropping the future stops the pipeline at once; what was in flight is given back.
    pub async fn join(mut self) -> Result<Report, RunError> {
        match self.supervisor.join_next().await {
            Some(Ok(report)) => Ok(report),
            _ => Err(RunError::Dropped),
        }
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline")
            .field("name", &self.settings.name)
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("name", &self.name)
            .field("max_demand", &self.max_demand)
            .field("budget", &self.budget)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
