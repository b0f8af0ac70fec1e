//! What is written is stored.

use crate::conformance::{
    Parcel, SinkRig,
    stand::Stand,
    suite::Verdict,
    writing::{Plan, is_idempotent, numbered},
};

/// How many messages are written.
const MANY: usize = 100;
/// How many workers write at once.
const WORKERS: usize = 4;

pub(super) fn parcels(count: usize) -> Vec<Parcel> {
    (0..count).map(Parcel::numbered).collect()
}

pub(super) async fn stored<R: SinkRig>(stand: &Stand<R>) -> Verdict {
    let place = stand.place().await?;
    let plan = Plan::of(numbered::<R>(&place, 0..MANY));
    let writing = stand.writing(&place, plan).await?;
    stand.all_written(writing, MANY).await?;
    stand.is_stored(&place, &parcels(MANY), true).await?;
    let order = stand.rig.promises().order;
    stand.is_in_order(&place, order).await
}

pub(super) async fn workers<R: SinkRig>(stand: &Stand<R>) -> Verdict {
    let place = stand.place().await?;
    let mut plan = Plan::of(numbered::<R>(&place, 0..MANY * 3));
    plan.workers = WORKERS;
    let writing = stand.writing(&place, plan).await?;
    stand.all_written(writing, MANY * 3).await?;
    stand.is_stored(&place, &parcels(MANY * 3), true).await
}

/// The same messages come three times: from a pipeline that ended, one that was killed, and
/// a last one.
pub(super) async fn idempotent<R: SinkRig>(stand: &Stand<R>) -> Verdict {
    let place = stand.place().await?;
    if !is_idempotent::<R>(&stand.rig.sink(&place)) {
        return Ok(());
    }
    let items = || numbered::<R>(&place, 0..MANY);
    let writing = stand.writing(&place, Plan::of(items())).await?;
    stand.all_written(writing, MANY).await?;
    let writing = stand
        .writing(&place, Plan::of(items()).up_to(MANY / 2))
        .await?;
    stand.writes(&writing, MANY / 4).await?;
    writing.crash();
    let writing = stand.writing(&place, Plan::of(items())).await?;
    stand.all_written(writing, MANY).await?;
    stand.is_stored(&place, &parcels(MANY), true).await
}
