//! Looks after the pipeline while it runs: shows how far it is, and ends it early.

use std::convert::Infallible;
use std::future;
use std::pin::pin;
use std::time::Duration;

use tokio::signal::ctrl_c;
use towpath::producer::FileProgress;
use towpath::{PipelineHandle, Report, Running};

use super::error::FlightsError;
use super::progress::{Progress, Sample};
use super::sinks::Troubles;

/// What is in flight when a sink cannot write may take so long to end some other way.
const AFTER_TROUBLE: Duration = Duration::from_secs(1);

/// Waits for the end. The first Ctrl-C drains, the second stops at once, and a sink that cannot
/// write ends the run with its trouble.
///
/// # Errors
/// Fails if the pipeline was dropped.
///
/// # Cancel safety
/// Not cancel safe: the pipeline stops with it.
pub async fn attend(
    running: Running,
    mut progress: Progress,
    read: FileProgress,
    mut troubles: Troubles,
) -> Result<(Report, Option<FlightsError>), FlightsError> {
    let handle = running.handle().clone();
    let mut end = pin!(running.join());
    let mut interrupts = pin!(obey_interrupts(&handle));
    let mut trouble = None;
    let report = {
        let mut display = pin!(progress.watch(|| sample(&handle, &read)));
        loop {
            tokio::select! {
                report = &mut end => break report,
                Some(first) = troubles.recv() => {
                    trouble.get_or_insert(first);
                    handle.drain_within(AFTER_TROUBLE);
                }
                never = &mut interrupts => match never {},
                never = &mut display => match never {},
            }
        }
    };
    progress.clear();
    Ok((report?, trouble.or_else(|| troubles.try_recv().ok())))
}

async fn obey_interrupts(handle: &PipelineHandle) -> Infallible {
    if ctrl_c().await.is_ok() {
        handle.drain();
    }
    while ctrl_c().await.is_ok() {
        handle.drain_within(Duration::ZERO);
    }
    // Whoever cannot listen to signals can still be killed.
    future::pending().await
}

fn sample(handle: &PipelineHandle, read: &FileProgress) -> Sample {
    let stages = handle.status().stages.into_iter();
    // What a batcher hands on shows at its sink.
    let shown = stages.filter(|stage| !matches!(stage.kind, "batcher" | "tee"));
    Sample {
        bytes: read.read(),
        stages: shown
            .map(|stage| (stage.name.to_string(), stage.counts.sent))
            .collect(),
    }
}
