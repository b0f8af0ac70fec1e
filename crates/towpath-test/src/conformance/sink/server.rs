//! A server that is killed, hangs, or is not there.

use std::time::Duration;

use tokio::time::sleep;
use towpath_telemetry::health::Checks;

use crate::{
    conformance::{
        Clock, SinkRig,
        stand::{NOTICES, Stand, chain},
        suite::Verdict,
        writing::{BATCH, Plan, Writing, is_idempotent, numbered},
    },
    snooze::IdleMeter,
};

use super::stored::parcels;

/// How many messages are written while the server comes and goes.
const MANY: usize = 200;
/// How many messages are written where the server is killed in the middle of a write.
const MORE: usize = 1000;
/// For how long a sink is watched that waits for its server.
const WINDOW: Duration = Duration::from_secs(4);
/// How often it may try in that time.
const TRIES: u64 = 40;
/// The part of a core that a process may use meanwhile.
const CORES: f64 = 0.2;
/// How long a stop waits for what cannot be written.
const SHORTLY: Duration = Duration::from_secs(1);

pub(super) async fn durable<R: SinkRig>(stand: &Stand<R>) -> Verdict {
    if !stand.rig.has_server() || !stand.rig.promises().durable {
        return Ok(());
    }
    let place = stand.place().await?;
    let plan = Plan::of(numbered::<R>(&place, 0..MANY));
    let writing = stand.writing(&place, plan).await?;
    stand.all_written(writing, MANY).await?;
    stand.kill().await?;
    stand.restart().await?;
    stand.is_stored(&place, &parcels(MANY), true).await
}

pub(super) async fn reconnect<R: SinkRig>(stand: &Stand<R>) -> Verdict {
    if !stand.rig.has_server() || !stand.rig.promises().durable {
        return Ok(());
    }
    let place = stand.place().await?;
    let writing = half(stand, &place).await?;
    stand.kill().await?;
    writing.open();
    stand.is_out_of_reach(&writing).await?;
    stand.restart().await?;
    finishes(stand, &place, writing).await?;
    in_the_middle(stand).await
}

/// The server is killed while it writes: what it had confirmed is there, and what it had not
/// comes again.
async fn in_the_middle<R: SinkRig>(stand: &Stand<R>) -> Verdict {
    let place = stand.place().await?;
    let plan = Plan::of(numbered::<R>(&place, 0..MORE));
    let writing = stand.writing(&place, plan).await?;
    stand.writes(&writing, MORE / 10).await?;
    stand.kill().await?;
    stand.restart().await?;
    stand.all_written(writing, MORE).await?;
    let once = is_idempotent::<R>(&stand.rig.sink(&place));
    stand.is_stored(&place, &parcels(MORE), once).await
}

/// Writes half of the messages; the other half waits for the gate.
async fn half<R: SinkRig>(stand: &Stand<R>, place: &str) -> Verdict<Writing> {
    let plan = Plan::of(numbered::<R>(place, 0..MANY)).up_to(MANY / 2);
    let writing = stand.writing(place, plan).await?;
    stand.writes(&writing, MANY / 2).await?;
    Ok(writing)
}

async fn finishes<R: SinkRig>(stand: &Stand<R>, place: &str, writing: Writing) -> Verdict {
    stand.all_written(writing, MANY).await?;
    let once = is_idempotent::<R>(&stand.rig.sink(place));
    stand.is_stored(place, &parcels(MANY), once).await
}

pub(super) async fn frozen<R: SinkRig>(stand: &Stand<R>) -> Verdict {
    if !stand.rig.has_server() {
        return Ok(());
    }
    let place = stand.place().await?;
    let writing = half(stand, &place).await?;
    if !stand.freeze().await? {
        writing.crash();
        return Ok(());
    }
    let before = writing.handle().status().counts.done;
    writing.open();
    let noticed = stand.is_out_of_reach(&writing).await;
    let done = writing.handle().status().counts.done - before;
    stand.thaw().await?;
    noticed?;
    stand.ensure(done == 0, || {
        format!("{done} messages are done while the server hangs")
    })?;
    finishes(stand, &place, writing).await
}

pub(super) async fn absent<R: SinkRig>(stand: &Stand<R>) -> Verdict {
    if !stand.rig.has_server() || !stand.rig.promises().durable {
        return Ok(());
    }
    let place = stand.place().await?;
    stand.kill().await?;
    let plan = Plan::of(numbered::<R>(&place, 0..MANY));
    let writing = stand.writing(&place, plan).await?;
    stand.is_out_of_reach(&writing).await?;
    let health = Checks::new().readiness(&[writing.handle().status()]);
    stand.ensure(!health.is_ready(), || {
        format!("ready without a server: {health:?}")
    })?;
    for finding in &health.findings {
        stand.is_fit_to_be_shown(&finding.to_string())?;
    }
    stand.restart().await?;
    finishes(stand, &place, writing).await
}

pub(super) async fn missing<R: SinkRig>(stand: &Stand<R>) -> Verdict {
    if stand.rig.promises().makes_place {
        return Ok(());
    }
    let missing = format!("{}_missing", stand.place().await?);
    let plan = Plan::of(numbered::<R>(&missing, 0..BATCH));
    let writing = match stand.try_writing(&missing, plan).await? {
        Ok(writing) => writing,
        // A local resource that is missing: the pipeline does not start at all.
        Err(error) => return names(stand, &missing, &[chain(&error)]),
    };
    let handle = writing.handle().clone();
    let answered = async || {
        let rejected = handle.status().counts.rejected > 0;
        Ok((rejected || writing.error().is_some()).then_some(()))
    };
    stand.until(NOTICES, answered).await?;
    let said = writing.error();
    let report = stand
        .stopped_writing(writing, Duration::from_secs(2))
        .await?;
    let causes = report.causes.iter().map(|cause| cause.join(": "));
    let said: Vec<_> = said.into_iter().chain(causes).collect();
    names(stand, &missing, &said)
}

/// Some error names the place that is missing, and none shows a secret.
fn names<R: SinkRig>(stand: &Stand<R>, missing: &str, said: &[String]) -> Verdict {
    let named = said.iter().any(|error| error.contains(missing));
    stand.ensure(named, || format!("no error names {missing}: {said:?}"))?;
    said.iter()
        .try_for_each(|error| stand.is_fit_to_be_shown(error))
}

pub(super) async fn stop_in_time<R: SinkRig>(stand: &Stand<R>) -> Verdict {
    if !stand.rig.has_server() {
        return Ok(());
    }
    let place = stand.place().await?;
    let writing = half(stand, &place).await?;
    let before = writing.handle().status().counts.done;
    stand.kill().await?;
    writing.open();
    stand.is_out_of_reach(&writing).await?;
    let stopped = stand.stopped_writing(writing, Duration::from_secs(2)).await;
    stand.restart().await?;
    let report = stopped?;
    let counts = report.counts;
    stand.ensure(counts.done == before && counts.rejected == 0, || {
        format!("without a server messages are done or rejected: {counts:?}")
    })?;
    stand.ensure(counts.retried > 0, || {
        format!("what was not written does not go back: {counts:?}")
    })
}

pub(super) async fn quiet<R: SinkRig>(stand: &Stand<R>) -> Verdict {
    if !stand.rig.has_server() {
        return Ok(());
    }
    let place = stand.place().await?;
    let writing = half(stand, &place).await?;
    stand.kill().await?;
    writing.open();
    stand.is_out_of_reach(&writing).await?;
    let before = writing.failures();
    let meter = IdleMeter::start();
    sleep(WINDOW).await;
    let (cost, tries) = (meter.stop(1), writing.failures() - before);
    let stopped = stand.stopped_writing(writing, SHORTLY).await;
    stand.restart().await?;
    stopped?;
    stand.ensure(tries <= TRIES, || {
        format!("without its server the sink tries {tries} times in {WINDOW:?}")
    })?;
    let measured = stand.rig.clock() == Clock::Real;
    stand.ensure(!measured || cost.cores <= CORES, || {
        format!(
            "without its server {:.0} % of a core are busy",
            cost.cores * 100.0
        )
    })
}
