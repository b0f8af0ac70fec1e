//! Writes that are made and dropped by hand.

use std::time::Duration;

use tokio::time::sleep;
use towpath::{Batch, BatchInfo, Sink, Trigger, Written};

use crate::conformance::{
    SinkRig,
    driver::cut_short,
    stand::{PATIENCE, Stand, chain},
    suite::Verdict,
    writing::{is_idempotent, numbered},
};

use super::stored::parcels;

/// How many messages a write holds.
const FEW: usize = 3;
/// At how many awaits a write is dropped, one after the other.
const AWAITS: usize = 12;

pub(super) async fn cancel<R: SinkRig>(stand: &Stand<R>) -> Verdict {
    let place = stand.place().await?;
    let mut sink = stand.rig.sink(&place);
    let opened = stand
        .within(PATIENCE, "`open`", Sink::<R::Item>::open(&mut sink))
        .await?;
    opened.map_err(|error| stand.broken(format!("the sink does not open: {error}")))?;
    for turn in 0..AWAITS {
        let numbers = turn * FEW..(turn + 1) * FEW;
        let batch = || batch::<R>(&place, numbers.clone());
        drop(cut_short(turn + 1, sink.write(batch())).await);
        if turn % 2 == 1 {
            // Also at no await at all, but some time after it.
            let write = sink.write(batch());
            drop(tokio::time::timeout(Duration::from_millis(turn as u64), write).await);
        }
        writes_again(stand, &mut sink, turn, batch).await?;
    }
    let once = is_idempotent::<R>(&sink);
    stand.is_stored(&place, &parcels(AWAITS * FEW), once).await
}

/// Writes until the sink takes it, as the engine does when messages come again.
async fn writes_again<R: SinkRig>(
    stand: &Stand<R>,
    sink: &mut R::Sink,
    turn: usize,
    batch: impl Fn() -> Batch<R::Item>,
) -> Verdict {
    let mut last = String::new();
    for _ in 0..20 {
        let written = stand
            .within(PATIENCE, "a write", sink.write(batch()))
            .await?;
        last = match written.map(is_all_done) {
            Ok(true) => return Ok(()),
            Ok(false) => "messages are refused".to_owned(),
            Err(error) => chain(&*error),
        };
        sleep(Duration::from_millis(100)).await;
    }
    let await_ = turn + 1;
    Err(stand.broken(format!(
        "after a write was dropped at its await {await_} no other succeeds: {last}"
    )))
}

fn is_all_done(written: Written) -> bool {
    match written {
        Written::Each(verdicts) => verdicts.into_results(FEW).all(|result| result.is_ok()),
        _ => true,
    }
}

fn batch<R: SinkRig>(place: &str, numbers: std::ops::Range<usize>) -> Batch<R::Item> {
    let (items, origins): (Vec<_>, Vec<_>) = numbered::<R>(place, numbers).into_iter().unzip();
    let info = BatchInfo::new("sink".into(), items.len(), Trigger::Chunk);
    Batch::new(items, origins, info)
}
