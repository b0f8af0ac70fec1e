//! From a pipeline as data to one that runs: check, wire, open, supervise.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use tokio::{sync::mpsc, sync::watch, task::JoinSet, time::Instant};
use towpath_core::{
    Attached, BoxError, Event, EventKind, FailureContext, Ledger, Observer, PolicyListener,
    StageName,
};
use towpath_producer::{Flow, Gate, SourceWorks};

use crate::{
    BuildError, Pipeline, PipelineHandle, Running, Settings,
    assembly::{Assembly, Opening as Opened, SourceEntry, SourceSeed, StageEntry},
    handle::{Shared, Stop, Watched, WatchedSource},
    look::Samples,
    registry,
    supervisor::{Failure, SourceRun, StageRun, Supervisor},
};

/// Workers that wait to be killed; more are spared.
const KILLS: usize = 64;

/// More tasks of one stage than this are a slip of the pen.
const MAX_WORKERS: usize = 4096;

/// Checks a pipeline; reports every problem.
pub(crate) fn check(pipeline: &Pipeline) -> Result<(), BuildError> {
    let problems = problems(pipeline);
    let name = pipeline.settings.name.clone();
    if !problems.is_empty() {
        return Err(BuildError::Invalid {
            pipeline: name,
            problems,
        });
    }
    let (promised, reasons) = pipeline.promises.guarantee();
    match pipeline.settings.require {
        Some(required) if promised < required => Err(BuildError::Guarantee {
            pipeline: name,
            required,
            promised,
            reasons,
        }),
        _ => Ok(()),
    }
}

fn problems(pipeline: &Pipeline) -> Vec<String> {
    let plan = &pipeline.plan;
    let twice = plan.duplicates().into_iter();
    let mut problems: Vec<_> = twice
        .map(|name| format!("stage {name}: another stage has the same name"))
        .collect();
    for stage in &plan.stages {
        if stage.name.as_str().is_empty() {
            problems.push(format!("a {} has an empty name", stage.kind));
        }
        if stage.concurrency == 0 {
            problems.push(format!(
                "stage {}: concurrency must be at least 1",
                stage.name
            ));
        } else if !(1..=MAX_WORKERS).contains(&stage.workers) {
            let name = &stage.name;
            problems.push(format!("stage {name}: workers must be 1 to {MAX_WORKERS}"));
        }
        let of_stage = stage.problems.iter();
        problems.extend(of_stage.map(|problem| format!("stage {}: {problem}", stage.name)));
    }
    problems.extend(pipeline.settings.problems.iter().cloned());
    if pipeline.settings.name.as_str().is_empty() {
        problems.push("the name of the pipeline is empty".to_owned());
    }
    problems
}

/// Starts a pipeline.
pub(crate) async fn start(pipeline: Pipeline) -> Result<Running, BuildError> {
    check(&pipeline)?;
    let explanation = pipeline.explain();
    let settings = pipeline.settings.clone();
    let context = context(&settings);
    let gate = Gate::default();
    let failure = Failure::default();
    let (kills, killed) = mpsc::channel(KILLS);
    let stop = watch::Sender::new(Stop::default());
    let redelivery = pipeline.promises.redelivery();
    let seed = SourceSeed {
        gate: gate.clone(),
        budget: settings.budget.unwrap_or(u64::MAX),
        close_within: settings.drain_deadline,
        failed: on_source_failure(&failure, &gate, &stop, settings.drain_deadline),
    };
    let assembly = Assembly::new(context.clone(), settings.max_demand, seed);
    let Assembly {
        stages,
        sources,
        openers,
        ..
    } = wire(pipeline, assembly);
    let (watched, stages) = watch_stages(stages, &context);
    let (watched_sources, openings) = sources.into_iter().map(watch_source).unzip();
    let shared = Arc::new(Shared {
        explanation,
        context,
        gate,
        stages: watched,
        sources: watched_sources,
        kills,
        stop,
        stopped: watch::Sender::new(false),
        drain_deadline: settings.drain_deadline,
        redelivery,
        samples: Samples::default(),
    });
    let handle = PipelineHandle(shared.clone());
    let registered = registry::register(&handle).ok_or_else(|| BuildError::NameTaken {
        pipeline: settings.name.clone(),
    })?;
    open_sinks(openers).await?;
    let sources = open_sources(openings).await?;
    let supervisor = Supervisor::new(
        shared,
        registered,
        stages,
        sources,
        settings.restarts,
        killed,
        failure,
    );
    show(&handle.0, &settings);
    // Told before the handle is out: nobody can pause or drain what has not started.
    handle.0.event(EventKind::Started);
    let mut tasks = JoinSet::new();
    tasks.spawn(supervisor.run());
    Ok(Running::new(handle, tasks))
}

fn show(pipeline: &Arc<Shared>, settings: &Settings) {
    if let Some(telemetry) = &settings.telemetry {
        let watching = AssertUnwindSafe(|| telemetry.watch(pipeline.clone()));
        drop(catch_unwind(watching));
    }
}

fn context(settings: &Settings) -> FailureContext {
    towpath_processor::name_errors();
    let telemetry = settings.telemetry.as_ref();
    let attached = telemetry.map_or_else(Attached::default, |telemetry| {
        // Whoever looks on must not keep a pipeline from starting.
        let attaching = AssertUnwindSafe(|| telemetry.attach(&settings.name));
        catch_unwind(attaching).unwrap_or_default()
    });
    let begun = Instant::now();
    let ledger = Ledger::new(move || begun.elapsed()).with_deadline(settings.deadline);
    let observers = settings.observer.iter().cloned().chain(attached.observer);
    FailureContext {
        pipeline: settings.name.clone(),
        ledger: Arc::new(ledger),
        observer: telling(observers.collect()),
        tracer: attached.tracer,
        timing: attached.timing,
        max_attempts: settings.max_attempts,
    }
}

/// Tells all of them. The pipeline must not fall over somebody who only looks on.
fn telling(observers: Vec<Arc<dyn Observer>>) -> Arc<dyn Observer> {
    Arc::new(move |event: &Event| {
        for observer in &observers {
            drop(catch_unwind(AssertUnwindSafe(|| observer.event(event))));
        }
    })
}

/// A source that cannot go on stops the others too; what was taken is finished.
fn on_source_failure(
    failure: &Failure,
    gate: &Gate,
    stop: &watch::Sender<Stop>,
    deadline: std::time::Duration,
) -> Arc<dyn Fn(StageName, BoxError) + Send + Sync> {
    let (failure, gate, stop) = (failure.clone(), gate.clone(), stop.clone());
    Arc::new(move |stage, error| {
        failure.source(stage, error);
        gate.set(Flow::Stopping);
        stop.send_modify(|stop| stop.within(deadline));
    })
}

fn wire(pipeline: Pipeline, mut assembly: Assembly) -> Assembly {
    // The letters first: every stage behind them gets its end of their link.
    if let Some(letters) = pipeline.letters {
        letters(&mut assembly);
    }
    (pipeline.connect)(&mut assembly);
    let order = pipeline.plan.stages;
    let place = |entry: &StageEntry| order.iter().position(|s| s.name == entry.info.name);
    assembly.stages.sort_by_key(place);
    assembly
}

fn watch_stages(
    entries: Vec<StageEntry>,
    context: &FailureContext,
) -> (Vec<Watched>, Vec<StageRun>) {
    let watch = |entry: StageEntry| {
        let listener = listen(&entry, context);
        let watched = Watched {
            info: entry.info.clone(),
            stats: entry.stats,
            control: entry.control,
            queue: entry.queue,
            policies: entry.policies,
        };
        let run = StageRun::new(entry.info, entry.factory, listener);
        (watched, run)
    };
    entries.into_iter().map(watch).unzip()
}

/// Makes what policies do of their own accord events of their stage, while the pipeline runs.
fn listen(entry: &StageEntry, context: &FailureContext) -> Option<Arc<PolicyListener>> {
    let policies = entry.policies.as_ref()?;
    let (stage, context) = (entry.info.name.clone(), context.clone());
    let listener: Arc<PolicyListener> = Arc::new(move |kind| context.tell(&stage, kind));
    policies.observe(Arc::downgrade(&listener));
    Some(listener)
}

type Opening = (
    StageName,
    std::pin::Pin<Box<dyn Future<Output = Result<SourceWorks, BoxError>> + Send>>,
);

fn watch_source(entry: SourceEntry) -> (WatchedSource, Opening) {
    let name = entry.info.name.clone();
    let watched = WatchedSource {
        info: entry.info,
        stats: entry.stats,
        settled: entry.settled,
        reach: entry.reach,
        lag: entry.lag,
    };
    (watched, (name, entry.opening))
}

async fn open_sinks(openers: Vec<(StageName, Opened<()>)>) -> Result<(), BuildError> {
    for (stage, opening) in openers {
        let opened = opening.await;
        opened.map_err(|source| cannot_start(stage, source))?;
    }
    Ok(())
}

async fn open_sources(openings: Vec<Opening>) -> Result<Vec<SourceRun>, BuildError> {
    let mut sources = Vec::with_capacity(openings.len());
    for (name, opening) in openings {
        let opened = opening.await;
        let works = opened.map_err(|source| cannot_start(name.clone(), source))?;
        sources.push(SourceRun::new(name, works));
    }
    Ok(sources)
}

fn cannot_start(stage: StageName, source: BoxError) -> BuildError {
    BuildError::Open { stage, source }
}
