//! The rules of a sink and a source of one system.

use std::time::Duration;

use towpath::{Flow, Origin, PipelineHandle, SinkStage};

use super::{
    BothRig, BothRule, Parcel, SourceRig,
    bytes::payloads,
    log::Log,
    stand::{NOTICES, PATIENCE, SLACK, Stand, chain},
    suite::Verdict,
    team::Act,
    words::{ATTEMPT, HEADERS, TRACE, TRACE_ID, TRACEPARENT},
    writing::{Plan, numbered, origin},
};
use crate::{Traces, check};

/// How many messages go from place to place.
const MANY: usize = 200;

pub(super) async fn check_rule<R: BothRig>(rule: BothRule, rig: R) -> Verdict {
    let stand = &Stand::new(rule, rig);
    match rule {
        BothRule::RoundTrip => round_trip(stand).await,
        BothRule::Trace => trace(stand).await,
        BothRule::Relay => relay(stand).await,
    }
}

async fn round_trip<R: BothRig>(stand: &Stand<R>) -> Verdict {
    let place = stand.place().await?;
    let largest = SourceRig::promises(&*stand.rig).largest;
    let with = |parcel: Parcel, (name, value): &(&str, &str)| parcel.with_header(*name, *value);
    let own = || {
        HEADERS
            .iter()
            .filter(|(name, _)| *name != ATTEMPT && *name != TRACEPARENT)
    };
    let parcel = |(n, payload)| own().fold(Parcel::new(format!("key-{n}"), payload), with);
    let mut sent: Vec<_> = payloads(largest)
        .into_iter()
        .enumerate()
        .map(parcel)
        .collect();
    let items = sent.iter().cloned().map(R::item).enumerate();
    let items = items.map(|(n, item)| (item, origin(&place, n))).collect();
    let writing = stand.writing(&place, Plan::of(items)).await?;
    stand.all_written(writing, sent.len()).await?;

    let mut reader = stand.reader(&place, 0).await?;
    for message in stand.take(&mut reader, sent.len()).await? {
        let came = message.parcel();
        let same = |put: &Parcel| put.key == came.key && put.payload == came.payload;
        let found = sent.iter().position(same);
        let found =
            found.ok_or_else(|| stand.broken(format!("{came:?} comes, and {sent:?} was sent")))?;
        sent.remove(found);
        let headers = &message.origin.headers;
        let carried = own().all(|(name, value)| headers.get(name) == Some(*value));
        let promised = SourceRig::promises(&*stand.rig).headers;
        stand.ensure(!promised || carried, || {
            format!("{headers:?} come, and not {HEADERS:?}")
        })?;
        message.done();
    }
    stand.holds(&place, 0).await?;
    stand.closed(reader).await.map(drop)
}

/// A message with a trace and two attempts behind it goes through two places.
async fn trace<R: BothRig>(stand: &Stand<R>) -> Verdict {
    let promises = SourceRig::promises(&*stand.rig);
    if !promises.headers {
        return Ok(());
    }
    let place = stand.place().await?;
    let traced = [(TRACEPARENT, TRACE)].into_iter().collect();
    let from: Origin = origin(&place, 0).attempt(3).headers(traced);
    let mut plan = Plan::of(vec![(R::item(Parcel::numbered(0)), from)]);
    plan.traces = Some(Traces::new());
    let writing = stand.writing(&place, plan).await?;
    stand.all_written(writing, 1).await?;

    let mut reader = stand.reader(&place, 0).await?;
    for expected in [3, 4] {
        let message = stand.take(&mut reader, 1).await?.remove(0);
        let origin = message.origin.clone();
        let found = origin.headers.get(TRACEPARENT);
        let goes_on = found.is_some_and(|found| found.contains(TRACE_ID));
        stand.ensure(goes_on, || {
            format!("{TRACE} goes in, and {found:?} comes out")
        })?;
        let counted = !promises.counts_attempts || origin.attempt == expected;
        stand.ensure(counted, || {
            format!("attempt {} comes, and not {expected}", origin.attempt)
        })?;
        if expected == 3 {
            message.retry(Duration::ZERO);
        } else {
            message.done();
        }
    }
    stand.holds(&place, 0).await?;
    stand.closed(reader).await.map(drop)
}

/// From one place to the next, while the server is killed.
async fn relay<R: BothRig>(stand: &Stand<R>) -> Verdict {
    let promises = SourceRig::promises(&*stand.rig);
    let (first, second) = (stand.place().await?, stand.place().await?);
    let plan = Plan::of(numbered::<R>(&first, 0..MANY));
    let writing = stand.writing(&first, plan).await?;
    stand.all_written(writing, MANY).await?;

    let (source, watch, _) = stand.source(&first, 0);
    let sink = SinkStage::of::<R::Item>("sink", stand.rig.sink(&second));
    let pipeline = Flow::from(source).map(|payload| R::item(R::parcel(&payload)));
    let running = pipeline.sink(sink).max_demand(8).start().await;
    let running =
        running.map_err(|error| stand.broken(format!("it does not start: {}", chain(&error))))?;
    let handle = running.handle().clone();
    let some = async || Ok((handle.status().counts.done >= 20).then_some(()));
    let some = stand.until(PATIENCE, some).await?;
    stand.ensure(some.is_some(), || {
        format!("no start: {:?}", handle.status().counts)
    })?;
    if stand.rig.has_server() && promises.durable {
        stand.kill().await?;
        let noticed = async || Ok(is_lost(&handle).then_some(()));
        let noticed = stand.until(NOTICES, noticed).await?;
        stand.restart().await?;
        stand.ensure(noticed.is_some(), || {
            format!("neither source nor sink says within {NOTICES:?} that it is lost")
        })?;
    }
    let log = Log::default();
    let team = stand.team(&second, 1, &log, |_| Act::Done).await?;
    let within = PATIENCE + promises.again + SLACK;
    stand.all_came(&log, 0..MANY, within).await?;
    stand.holds_within(&first, 0, within).await?;
    handle.drain_within(PATIENCE / 2);
    let report = stand.within(PATIENCE, "a relay", running.join()).await?;
    check(&report.map_err(|error| stand.broken(error.to_string()))?);
    watch.kept()?;
    stand.holds_within(&second, 0, within).await?;
    stand.drained(team).await.map(drop)
}

fn is_lost(handle: &PipelineHandle) -> bool {
    let status = handle.status();
    let sinks = status
        .stages
        .iter()
        .filter_map(|stage| stage.reach.as_ref());
    let mut errors = sinks.map(|reach| &reach.error);
    errors.any(Option::is_some) || status.sources.iter().any(|source| source.error.is_some())
}
