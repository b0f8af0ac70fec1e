//! What travels, and what the system refuses.

use towpath::{Origin, Report};

use crate::{
    Traces,
    conformance::{
        Parcel, SinkRig,
        bytes::{large, payloads},
        stand::Stand,
        suite::Verdict,
        words::{ATTEMPT, HEADERS, TRACE, TRACE_ID, TRACEPARENT},
        writing::{Plan, origin},
    },
};

/// How many messages are around the one that is refused.
const AROUND: usize = 20;

pub(super) async fn refused<R: SinkRig>(stand: &Stand<R>) -> Verdict {
    let Some(item) = stand.rig.refused() else {
        return Ok(());
    };
    let place = stand.place().await?;
    fails_alone(stand, &place, item, "the one that is refused").await
}

/// One item among others is rejected, and the others are stored.
async fn fails_alone<R: SinkRig>(
    stand: &Stand<R>,
    place: &str,
    bad: R::Item,
    what: &str,
) -> Verdict {
    let good: Vec<_> = (0..AROUND).map(Parcel::numbered).collect();
    let mut items: Vec<_> = good.iter().cloned().map(R::item).collect();
    items.insert(AROUND / 4, bad);
    let items = items.into_iter().enumerate();
    let items = items.map(|(n, item)| (item, origin(place, n))).collect();
    let writing = stand.writing(place, Plan::of(items)).await?;
    let report = stand.written(writing).await?;
    let counts = report.counts;
    let alone = counts.rejected == 1 && counts.done == AROUND as u64;
    stand.ensure(alone, || {
        let causes = &report.causes;
        format!("{what} is to be rejected, and {AROUND} others done: {counts:?} {causes:?}")
    })?;
    shows_nothing_secret(stand, &report)?;
    stand.is_stored(place, &good, false).await
}

fn shows_nothing_secret<R: SinkRig>(stand: &Stand<R>, report: &Report) -> Verdict {
    let words = report.causes.iter().flatten();
    words
        .into_iter()
        .try_for_each(|word| stand.is_fit_to_be_shown(word))
}

pub(super) async fn sizes<R: SinkRig>(stand: &Stand<R>) -> Verdict {
    let place = stand.place().await?;
    let promises = stand.rig.promises();
    let parcel = |(n, payload)| Parcel::new(format!("key-{n}"), payload);
    let parcels: Vec<_> = payloads(promises.largest)
        .into_iter()
        .enumerate()
        .map(parcel)
        .collect();
    let items = parcels.iter().cloned().map(R::item).enumerate();
    let items: Vec<_> = items.map(|(n, item)| (item, origin(&place, n))).collect();
    let count = items.len();
    let writing = stand.writing(&place, Plan::of(items)).await?;
    stand.all_written(writing, count).await?;
    stand.is_stored(&place, &parcels, true).await?;
    let Some(too_large) = promises.too_large else {
        return Ok(());
    };
    let place = stand.place().await?;
    let bad = R::item(Parcel::new("large", large(too_large)));
    fails_alone(stand, &place, bad, "the one that is too large").await
}

pub(super) async fn headers<R: SinkRig>(stand: &Stand<R>) -> Verdict {
    if !stand.rig.promises().headers {
        return Ok(());
    }
    let place = stand.place().await?;
    let own: Vec<_> = HEADERS
        .into_iter()
        .filter(|(name, _)| is_own(name))
        .collect();
    let with = |parcel: Parcel, (name, value): &(&str, &str)| parcel.with_header(*name, *value);
    let parcel = own.iter().fold(Parcel::numbered(0), with);
    let traced = [(TRACEPARENT, TRACE)].into_iter().collect();
    let from: Origin = origin(&place, 0).attempt(3).headers(traced);
    let mut plan = Plan::of(vec![
        (R::item(parcel.clone()), from),
        (R::item(Parcel::numbered(1)), origin(&place, 1)),
    ]);
    plan.traces = Some(Traces::new());
    let writing = stand.writing(&place, plan).await?;
    stand.all_written(writing, 2).await?;
    stand.is_stored(&place, &[parcel], false).await?;
    let stored = stand.rig.stored(&place).await;
    let stored = stored.map_err(|error| stand.fault("read what is stored", &error))?;
    let find = |n| stored.iter().find(|parcel| parcel.number() == Some(n));
    let (Some(full), Some(bare)) = (find(0), find(1)) else {
        return Err(stand.broken(format!("two were written, and {stored:?} is stored")));
    };
    for (name, value) in own {
        has(stand, full, name, |found| found == value)?;
    }
    has(stand, full, ATTEMPT, |found| found == "3")?;
    has(stand, full, TRACEPARENT, |found| {
        found.contains(TRACE_ID) && found != TRACE
    })?;
    let attempt = bare.header(ATTEMPT).unwrap_or("1");
    stand.ensure(attempt == "1", || {
        format!("a first attempt goes out as attempt {attempt}")
    })
}

fn is_own(name: &str) -> bool {
    ![ATTEMPT, TRACEPARENT].contains(&name)
}

fn has<R: SinkRig>(
    stand: &Stand<R>,
    stored: &Parcel,
    name: &str,
    is_right: impl Fn(&str) -> bool,
) -> Verdict {
    let found = stored.header(name);
    stand.ensure(found.is_some_and(is_right), || {
        format!("header {name} is {found:?}: {stored:?}")
    })
}
