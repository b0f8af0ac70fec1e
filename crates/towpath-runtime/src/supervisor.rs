//! Owns every task of a pipeline: starts workers, starts them again, and ends them in time.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, Id, JoinError, JoinSet},
    time::{Instant, sleep, sleep_until, timeout_at},
};
use towpath_core::{
    BoxError, Counts, EventKind, Inspect, PolicyListener, Redelivery, StageInfo, StageName, Work,
};
use towpath_producer::{Flow, SourceWorks};

use crate::{
    Ending, Report, Restarts, Strategy,
    assembly::Factory,
    error::Failed,
    handle::{Kill, Shared, Stop},
    registry::Registered,
    restarts::Intensity,
};

/// How long tasks may take to end once they are aborted, outcomes to be told then, and
/// sources to be closed that could not be told.
const ABORT_GRACE: Duration = Duration::from_millis(100);
const SETTLE_GRACE: Duration = Duration::from_millis(500);
const CLOSE_GRACE: Duration = Duration::from_millis(500);

/// A stage that runs. Its factory holds ends of links: dropped with the last worker.
pub(crate) struct StageRun {
    info: StageInfo,
    factory: Option<Factory>,
    live: usize,
    #[expect(dead_code, reason = "its policies forget a listener that is dropped")]
    listener: Option<Arc<PolicyListener>>,
}

/// A source that runs.
pub(crate) struct SourceRun {
    name: StageName,
    receive: Option<Box<dyn Fn() -> Work + Send + Sync>>,
    tell: Option<Box<dyn Fn() -> Work + Send + Sync>>,
    close: Box<dyn Fn() + Send + Sync>,
    give_up: Box<dyn Fn() + Send + Sync>,
}

/// Why the pipeline gave up, if it did: the first reason counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failure(Arc<Mutex<Option<Failed>>>);

/// Whose task it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Receive(usize),
    Worker { stage: usize, worker: usize },
    Tell(usize),
}

struct Task {
    place: Place,
    abort: AbortHandle,
    /// Ended by the strategy and not by itself: no new restart to count.
    swept: bool,
}

pub(crate) struct Supervisor {
    shared: Arc<Shared>,
    stages: Vec<StageRun>,
    sources: Vec<SourceRun>,
    tasks: JoinSet<()>,
    places: HashMap<Id, Task>,
    intensity: Intensity,
    kills: mpsc::Receiver<Kill>,
    stop: watch::Receiver<Stop>,
    failure: Failure,
    /// What was abandoned before the pipeline was cut short: it came again, or has counted.
    abandoned_before: Option<u64>,
    /// The last field: the name goes when all else is dropped.
    registered: Arc<Registered>,
}

/// A task of the pipeline, which lets go of the name last.
struct Tenant {
    work: Work,
    #[expect(dead_code, reason = "held until the work is dropped")]
    registered: Arc<Registered>,
}

impl Future for Tenant {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.work.as_mut().poll(cx)
    }
}

// === impl Failure ===

impl Failure {
    pub(crate) fn source(&self, stage: StageName, source: BoxError) {
        self.set(Failed::Source { stage, source });
    }

    fn set(&self, failed: Failed) {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(failed);
    }

    fn take(&self) -> Option<Failed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

// === impl StageRun, SourceRun ===

impl StageRun {
    pub(crate) fn new(
        info: StageInfo,
        factory: Factory,
        listener: Option<Arc<PolicyListener>>,
    ) -> Self {
        Self {
            live: info.workers,
            info,
            factory: Some(factory),
            listener,
        }
    }
}

impl SourceRun {
    pub(crate) fn new(name: StageName, works: SourceWorks) -> Self {
        Self {
            name,
            receive: Some(works.receive),
            tell: works.tell,
            close: works.close,
            give_up: works.give_up,
        }
    }
}

// === impl Supervisor ===

impl Supervisor {
    pub(crate) fn new(
        shared: Arc<Shared>,
        registered: Registered,
        stages: Vec<StageRun>,
        sources: Vec<SourceRun>,
        restarts: Restarts,
        kills: mpsc::Receiver<Kill>,
        failure: Failure,
    ) -> Self {
        Self {
            stop: shared.stop.subscribe(),
            shared,
            stages,
            sources,
            tasks: JoinSet::new(),
            places: HashMap::new(),
            intensity: Intensity::new(restarts),
            kills,
            failure,
            abandoned_before: None,
            registered: Arc::new(registered),
        }
    }

    /// Runs the pipeline to its end.
    pub(crate) async fn run(mut self) -> Report {
        self.start_all();
        let in_time = self.supervise().await;
        let report = self.report(in_time);
        self.shared.event(EventKind::Stopped);
        let shared = self.shared.clone();
        // With the last task goes the name; only one that blocks its thread still keeps it.
        drop(self);
        shared.stopped.send_replace(true);
        report
    }

    /// From the sinks up, so that demand is there before the sources ask.
    fn start_all(&mut self) {
        for stage in (0..self.stages.len()).rev() {
            for worker in 0..self.stages[stage].info.workers {
                self.spawn(Place::Worker { stage, worker }, Duration::ZERO);
            }
            if self.stages[stage].live == 0 {
                self.stages[stage].factory = None;
            }
        }
        for source in 0..self.sources.len() {
            self.spawn(Place::Tell(source), Duration::ZERO);
            self.spawn(Place::Receive(source), Duration::ZERO);
        }
    }

    fn spawn(&mut self, place: Place, pause: Duration) {
        let work = match place {
            Place::Receive(source) => self.sources[source].receive.as_ref().map(|make| make()),
            Place::Tell(source) => self.sources[source].tell.as_ref().map(|make| make()),
            Place::Worker { stage, worker } => {
                self.stages[stage].factory.as_ref().map(|make| make(worker))
            }
        };
        let Some(work) = work else {
            return;
        };
        let work = match pause {
            Duration::ZERO => work,
            pause => Box::pin(async move {
                sleep(pause).await;
                work.await;
            }),
        };
        let registered = self.registered.clone();
        let abort = self.tasks.spawn(Tenant { work, registered });
        let swept = false;
        let id = abort.id();
        self.places.insert(
            id,
            Task {
                place,
                abort,
                swept,
            },
        );
    }

    /// Waits for every task; `false` when the deadline came first or the pipeline gave up.
    async fn supervise(&mut self) -> bool {
        loop {
            let deadline = self.stop.borrow_and_update().by;
            let due = async move {
                match deadline {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                ended = self.tasks.join_next_with_id() => match ended {
                    None => return true,
                    Some(Ok((id, ()))) => self.ended(id),
                    Some(Err(error)) => if !self.died(&error) {
                        self.cut_short().await;
                        return false;
                    },
                },
                _ = self.stop.changed() => {}
                Some(Kill { stage, worker }) = self.kills.recv() => self.kill(&stage, worker),
                () = due => {
                    self.cut_short().await;
                    return false;
                }
            }
        }
    }

    fn kill(&self, name: &StageName, index: usize) {
        let is_it = |place: Place| match place {
            Place::Worker { stage, worker } => {
                self.stages[stage].info.name == *name && worker == index
            }
            Place::Receive(source) => self.sources[source].name == *name,
            Place::Tell(_) => false,
        };
        let tasks = self.places.values();
        tasks
            .filter(|t| is_it(t.place))
            .for_each(|t| t.abort.abort());
    }

    /// A task has come to its end. The last worker of a stage lets go of its links.
    fn ended(&mut self, id: Id) {
        match self.places.remove(&id).map(|task| task.place) {
            Some(Place::Receive(source)) => self.sources[source].receive = None,
            Some(Place::Worker { stage, .. }) => {
                let stage = &mut self.stages[stage];
                stage.live -= 1;
                if stage.live == 0 {
                    stage.factory = None;
                }
            }
            Some(Place::Tell(_)) | None => {}
        }
    }

    /// A task has died: starts it again, and others with it. `false` to give up.
    fn died(&mut self, error: &JoinError) -> bool {
        let Some(task) = self.places.remove(&error.id()) else {
            return true;
        };
        if task.swept {
            self.spawn(task.place, Duration::ZERO);
            return true;
        }
        let Some(pause) = self.intensity.note() else {
            self.give_up(task.place);
            return false;
        };
        self.restarted(task.place);
        self.spawn(task.place, pause);
        self.sweep(task.place);
        true
    }

    fn restarted(&self, place: Place) {
        let restarts = match place {
            Place::Worker { stage, .. } => self.shared.stages[stage].stats.add_restart(),
            Place::Receive(source) | Place::Tell(source) => {
                self.shared.sources[source].stats.add_restart()
            }
        };
        let kind = EventKind::Restarted { restarts };
        self.shared.context.tell(&self.name(place), kind);
    }

    fn name(&self, place: Place) -> StageName {
        match place {
            Place::Worker { stage, .. } => self.stages[stage].info.name.clone(),
            Place::Receive(source) | Place::Tell(source) => self.sources[source].name.clone(),
        }
    }

    /// Ends the tasks that the strategy starts again together with the one that died.
    fn sweep(&mut self, died: Place) {
        let strategy = self.intensity.rule().strategy;
        for task in self.places.values_mut() {
            if sweeps(strategy, died, task.place) {
                task.swept = true;
                task.abort.abort();
            }
        }
    }

    fn give_up(&self, place: Place) {
        let rule = self.intensity.rule();
        self.failure.set(Failed::RestartIntensity {
            stage: self.name(place),
            restarts: rule.max,
            within: rule.within,
        });
    }

    /// Ends what still runs. Handlers are dropped first, then what they held is given back.
    async fn cut_short(&mut self) {
        self.shared.gate.set(Flow::Stopping);
        self.abandoned_before = Some(self.shared.context.ledger.counts().abandoned);
        for task in self.places.values() {
            if !matches!(task.place, Place::Tell(_)) {
                task.abort.abort();
            }
        }
        let until = Instant::now() + ABORT_GRACE;
        while self.has_handlers() {
            match timeout_at(until, self.tasks.join_next_with_id()).await {
                Ok(Some(Ok((id, ())))) => drop(self.places.remove(&id)),
                Ok(Some(Err(error))) => drop(self.places.remove(&error.id())),
                Ok(None) | Err(_) => break,
            }
        }
        self.stages.clear();
        for source in &mut self.sources {
            source.receive = None;
            (source.close)();
        }
        self.join_within(SETTLE_GRACE).await;
        for source in &self.sources {
            (source.give_up)();
        }
        self.join_within(CLOSE_GRACE).await;
        self.tasks.abort_all();
        // Only a task that blocks its thread can still be there, and nobody can end that.
        self.join_within(ABORT_GRACE).await;
    }

    async fn join_within(&mut self, grace: Duration) {
        let until = Instant::now() + grace;
        while let Ok(Some(_)) = timeout_at(until, self.tasks.join_next()).await {}
    }

    fn has_handlers(&self) -> bool {
        let mut tasks = self.places.values();
        tasks.any(|task| !matches!(task.place, Place::Tell(_)))
    }

    /// What was given back and does not come again by itself, as far as the run can tell.
    fn lost(&self, counts: &Counts) -> u64 {
        let sources = self.shared.sources.iter();
        match self.shared.redelivery {
            Redelivery::Never => counts.retried,
            // Whatever came again had been given back before.
            Redelivery::InProcess => {
                let again = sources.map(|s| s.settled.redelivered()).sum();
                counts.retried.saturating_sub(again)
            }
            // Comes again in the next run at the latest: only what was cut short is worth a word.
            _ => counts.abandoned - self.abandoned_before.unwrap_or(counts.abandoned),
        }
    }

    fn report(&self, in_time: bool) -> Report {
        let shared = &self.shared;
        let ledger = &shared.context.ledger;
        let now = shared.samples.end(ledger.now());
        let status = Inspect::status(&**shared);
        let counts = status.counts;
        let ending = match (self.failure.take(), in_time, self.stop.borrow().asked) {
            (Some(failed), ..) => Ending::Failed {
                error: chain(&failed),
            },
            (None, false, _) => Ending::DeadlineExceeded,
            (None, true, true) => Ending::Stopped,
            (None, true, false) => Ending::Finished,
        };
        let abandoned = ledger.abandoned();
        Report {
            name: status.name,
            ending,
            counts,
            left: counts.in_flight + self.lost(&counts),
            bound: status.bound,
            dropped: status.dropped,
            causes: ledger
                .recent_causes()
                .iter()
                .map(towpath_core::Cause::chain)
                .collect(),
            abandoned: abandoned.iter().map(place_of).collect(),
            latency: status.latency,
            elapsed_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            sources: status.sources,
            stages: status.stages,
            bottleneck: status.bottleneck,
        }
    }
}

fn sweeps(strategy: Strategy, died: Place, other: Place) -> bool {
    match (strategy, died, other) {
        (Strategy::OneForOne, ..) | (_, _, Place::Tell(_)) => false,
        (Strategy::OneForAll, ..)
        | (Strategy::RestForOne, Place::Receive(_), Place::Worker { .. }) => died != other,
        (
            Strategy::RestForOne,
            Place::Worker { stage, .. },
            Place::Worker { stage: behind, .. },
        ) => behind >= stage && died != other,
        (Strategy::RestForOne, ..) => false,
    }
}

fn place_of(origin: &towpath_core::Origin) -> String {
    match (&origin.identity, &origin.position) {
        (Some(identity), _) => identity.to_string(),
        (None, Some(position)) => position.to_string(),
        (None, None) => "unknown".to_owned(),
    }
}

fn chain(error: &dyn std::error::Error) -> Vec<String> {
    std::iter::successors(Some(error), |e| e.source())
        .map(ToString::to_string)
        .collect()
}
