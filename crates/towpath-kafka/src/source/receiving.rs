//! Takes messages out of the queues of the partitions, as many as are wanted.

use std::{sync::Arc, time::Duration};

use rdkafka::message::BorrowedMessage;
use tokio::time::Instant;
use towpath_core::{Delivery, Intake, watermark::WatermarkError};
use towpath_producer::cumulative::CumulativeToken;

use super::{
    KafkaToken,
    group::{Group, Queue},
    partitions::{InFlight, Partitions},
    run::{Fetched, Fetching, Run},
};
use crate::{KafkaRecord, lock::lock};

/// How many messages are taken out of one queue at once.
const RUN: usize = 256;
/// The same in bytes; the last one may go beyond. Whoever has one message keeps those that came
/// with it: this bounds how much.
const RUN_BYTES: usize = 64 * 1024;

/// Takes what is there, up to what is wanted; returns how many.
///
/// Begins after partition `last`, so that each has its turn.
pub(super) fn take(
    group: &Group,
    intake: &mut Intake<KafkaRecord, KafkaToken>,
    last: &mut u32,
) -> usize {
    let before = intake.len();
    take_due(group, intake);
    let queues = lock(&group.queues);
    let (until, after) = (..=*last, (*last).saturating_add(1)..);
    for (number, queue) in queues.range(after).chain(queues.range(until)) {
        if intake.room() == 0 {
            break;
        }
        if take_new(group, *number, queue, intake) > 0 {
            *last = *number;
        }
    }
    intake.len() - before
}

/// Delivers again what is due.
fn take_due(group: &Group, intake: &mut Intake<KafkaRecord, KafkaToken>) {
    let now = Instant::now();
    while intake.room() > 0 {
        let due = lock(&group.parking).take_due(now);
        let Some(parked) = due else {
            break;
        };
        let place = parked.place;
        let (number, generation) = (place.partition(), place.generation());
        let again = lock(&group.partitions).hand_out_again(number, generation);
        // Otherwise it is of the past, and comes to whoever has the partition now.
        if let Some(counted) = again {
            let mut kept = parked.kept;
            kept.deliveries = kept.deliveries.saturating_add(1);
            deliver(intake, vec![place], Run::again(kept, counted));
        }
    }
}

fn take_new(
    group: &Group,
    number: u32,
    queue: &Queue,
    intake: &mut Intake<KafkaRecord, KafkaToken>,
) -> usize {
    let room = intake.room().min(group.offsets.room(number));
    let Some(mut fetched) = fetch(queue, number, room, group.options.read_headers) else {
        return 0;
    };
    let (places, counted) = hand_out(group, number, fetched.offsets());
    let Some(counted) = counted else {
        return 0;
    };
    // The assignment of those without a place is over.
    fetched.truncate(places.len());
    group.note_handed_out(places.len());
    deliver(intake, places, Run::new(fetched, counted))
}

/// Takes messages out of a queue: as many as there is room for, unless they are large.
fn fetch(queue: &Queue, number: u32, room: usize, read_headers: bool) -> Option<Fetched> {
    if room == 0 {
        return None;
    }
    let first = next(queue)?;
    let mut fetching = Fetching::of(&queue.place, number, queue.last.get(), read_headers);
    fetching.push(&first);
    drop(first);
    while fetching.len() < room.min(RUN) && fetching.bytes() < RUN_BYTES {
        let Some(message) = next(queue) else {
            break;
        };
        fetching.push(&message);
    }
    queue.last.set(fetching.size());
    Some(fetching.finish())
}

/// The next message that is there. Errors are noted by the context, with their texts.
fn next(queue: &Queue) -> Option<BorrowedMessage<'_>> {
    loop {
        if let Ok(message) = queue.messages.poll(Duration::ZERO)? {
            return Some(message);
        }
    }
}

/// Takes note of messages; those have no place whose assignment is over.
pub(super) fn hand_out(
    group: &Group,
    number: u32,
    offsets: &[u64],
) -> (Vec<CumulativeToken>, Option<InFlight>) {
    let mut places = Vec::with_capacity(offsets.len());
    let mut partitions = lock(&group.partitions);
    let mut handed = group.offsets.hand_out_all(number, offsets, &mut places);
    // The partition was cut off, or is read once more: what is in flight is of the past.
    while let Err(WatermarkError::NotAscending { .. }) = handed {
        if begin_anew(group, &mut partitions, number).is_none() {
            break;
        }
        let rest = &offsets[places.len()..];
        handed = group.offsets.hand_out_all(number, rest, &mut places);
    }
    let last = places.last().map(CumulativeToken::offset);
    let counted = last.and_then(|last| partitions.hand_out(number, places.len(), last));
    (places, counted)
}

fn begin_anew(group: &Group, partitions: &mut Partitions, number: u32) -> Option<()> {
    let generation = partitions.begin_anew(number)?;
    group.offsets.assign(number, generation).ok()
}

fn deliver(
    intake: &mut Intake<KafkaRecord, KafkaToken>,
    places: Vec<CumulativeToken>,
    run: Run,
) -> usize {
    let run = Arc::new(run);
    let delivered = places.len();
    for (index, place) in places.into_iter().enumerate() {
        if let Some((record, origin)) = run.message(index) {
            let token = KafkaToken::new(place, run.clone(), index);
            intake.push(Delivery::new(record, token).with_origin(origin));
        }
    }
    delivered
}
