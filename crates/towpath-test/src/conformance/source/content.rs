//! What travels: bytes, headers, attempts.

use std::time::Duration;

use crate::conformance::{
    Parcel, SourceRig,
    bytes::payloads,
    stand::{SLACK, Stand},
    suite::Verdict,
    words::{ATTEMPT, HEADERS},
};

pub(super) async fn sizes<R: SourceRig>(stand: &Stand<R>) -> Verdict {
    let place = stand.place().await?;
    let largest = stand.rig.promises().largest;
    let parcels: Vec<_> = payloads(largest)
        .into_iter()
        .map(|payload| Parcel::new("a", payload))
        .collect();
    stand.put(&place, parcels.clone()).await?;
    let mut reader = stand.reader(&place, 0).await?;
    let mut missing = parcels;
    for message in stand.take(&mut reader, missing.len()).await? {
        let came = message.parcel();
        let found = missing.iter().position(|put| put.payload == came.payload);
        let found = found.ok_or_else(|| {
            stand.broken(format!("{came:?} comes, and of {missing:?} it is none"))
        })?;
        missing.remove(found);
        message.done();
    }
    stand.holds(&place, 0).await?;
    stand.closed(reader).await.map(drop)
}

pub(super) async fn headers<R: SourceRig>(stand: &Stand<R>) -> Verdict {
    let promises = stand.rig.promises();
    if !promises.headers {
        return Ok(());
    }
    let place = stand.place().await?;
    let plain = Parcel::numbered(0);
    let with = |parcel: Parcel, (name, value): &(&str, &str)| parcel.with_header(*name, *value);
    let full = HEADERS.iter().fold(Parcel::numbered(1), with);
    stand.put(&place, vec![plain, full]).await?;
    let mut reader = stand.reader(&place, 0).await?;
    for message in stand.take(&mut reader, 2).await? {
        let (origin, full) = (message.origin.clone(), message.number() == Some(1));
        for (name, value) in HEADERS {
            let expected = full.then_some(value);
            let found = origin.headers.get(name);
            stand.ensure(found == expected, || {
                format!(
                    "header {name} is {found:?} and not {expected:?}: {:?}",
                    origin.headers
                )
            })?;
        }
        let expected = if full { 3 } else { 1 };
        let attempt = origin.attempt;
        stand.ensure(!promises.counts_attempts || attempt == expected, || {
            format!("{ATTEMPT} says {expected}, and the first delivery is attempt {attempt}")
        })?;
        message.done();
    }
    stand.holds(&place, 0).await?;
    stand.closed(reader).await.map(drop)
}

pub(super) async fn attempts<R: SourceRig>(stand: &Stand<R>) -> Verdict {
    let place = stand.place().await?;
    stand.put_numbers(&place, 0..1).await?;
    let mut reader = stand.reader(&place, 0).await?;
    let counts = stand.rig.promises().counts_attempts;
    let mut first = None;
    for expected in 1..=4 {
        let message = stand.take(&mut reader, 1).await?.remove(0);
        let origin = message.origin.clone();
        stand.ensure(!counts || origin.attempt == expected, || {
            format!("delivery {expected} is attempt {}", origin.attempt)
        })?;
        stand.ensure(origin.identity.is_some(), || {
            "a message has no identity".to_owned()
        })?;
        let known = first.get_or_insert_with(|| origin.clone());
        stand.ensure(known.identity == origin.identity, || {
            let (known, now) = (&known.identity, &origin.identity);
            format!("the identity of one message is {known:?} at first, and then {now:?}")
        })?;
        if expected < 4 {
            message.retry(Duration::ZERO);
        } else {
            message.done();
        }
    }
    stand.holds(&place, 0).await?;
    stand.closed(reader).await?;
    over_a_crash(stand).await
}

/// A server that lends its messages counts the deliveries that nobody has settled, too.
async fn over_a_crash<R: SourceRig>(stand: &Stand<R>) -> Verdict {
    let promises = stand.rig.promises();
    if promises.lease.is_none() || !promises.counts_attempts {
        return Ok(());
    }
    let place = stand.place().await?;
    stand.put_numbers(&place, 0..1).await?;
    let mut reader = stand.reader(&place, 0).await?;
    let held = stand.take(&mut reader, 1).await?.remove(0);
    let before = held.origin.clone();
    reader.crash();
    let mut reader = stand.reader(&place, 1).await?;
    let again = stand.next(&mut reader, promises.again + SLACK).await?;
    // No sooner: a pipeline that is about to go might still give it back.
    drop(held);
    let (attempt, identity) = (again.origin.attempt, again.origin.identity.clone());
    // More than one, where the server had given it to a consumer that was about to go.
    stand.ensure(attempt >= 2 && identity == before.identity, || {
        let before = before.identity;
        format!("{before:?} comes as attempt {attempt} of {identity:?} after a crash")
    })?;
    again.done();
    stand.holds(&place, 0).await?;
    stand.closed(reader).await.map(drop)
}
