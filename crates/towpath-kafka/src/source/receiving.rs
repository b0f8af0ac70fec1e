//! Takes messages out of the queues of the partitions, as many as are wanted.

use std::{panic::catch_unwind, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use rdkafka::{
    Message as _,
    message::{BorrowedHeaders, BorrowedMessage, Headers as _},
};
use tokio::time::Instant;
use towpath_connector::attempt_of;
use towpath_core::{Delivery, Intake, Origin, watermark::WatermarkError};
use towpath_producer::cumulative::CumulativeToken;

use super::{
    KafkaToken,
    group::{Group, Queue},
    parking::Kept,
    partitions::{InFlight, Partitions, Place},
};
use crate::{KafkaHeaders, KafkaRecord, lock::lock};

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
            deliver(intake, place, kept, counted);
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
    let mut taken = 0;
    while taken < room {
        match queue.messages.poll(Duration::ZERO) {
            Some(Ok(message)) => {
                if let Some((place, counted)) = hand_out(group, number, offset(&message)) {
                    let record = record(&queue.place, &message);
                    deliver(intake, place, first(number, record), counted);
                    taken += 1;
                }
            }
            // The context has noted it, with its text.
            Some(Err(_)) => {}
            None => break,
        }
    }
    taken
}

fn offset(message: &BorrowedMessage<'_>) -> u64 {
    u64::try_from(message.offset()).unwrap_or_default()
}

/// Takes note of a message; none where its assignment is over.
fn hand_out(group: &Group, number: u32, offset: u64) -> Option<(CumulativeToken, InFlight)> {
    let mut partitions = lock(&group.partitions);
    let place = match group.offsets.hand_out(number, offset) {
        // The partition was cut off, or is read once more: what is in flight is of the past.
        Err(WatermarkError::NotAscending { .. }) => {
            begin_anew(group, &mut partitions, number)?;
            group.offsets.hand_out(number, offset)
        }
        other => other,
    };
    let (_, counted) = partitions.hand_out(number, offset)?;
    Some((place.ok()?, counted))
}

fn begin_anew(group: &Group, partitions: &mut Partitions, number: u32) -> Option<()> {
    let generation = partitions.begin_anew(number)?;
    group.offsets.assign(number, generation).ok()
}

fn deliver(
    intake: &mut Intake<KafkaRecord, KafkaToken>,
    place: CumulativeToken,
    kept: Kept,
    counted: InFlight,
) {
    let (record, origin) = (kept.record.clone(), kept.origin.clone());
    let token = KafkaToken::new(place, kept, counted);
    intake.push(Delivery::new(record, token).with_origin(origin));
}

/// A message that comes for the first time.
fn first(number: u32, record: KafkaRecord) -> Kept {
    let headers = record.headers.texts();
    let identity = format!("{}:{}:{}", record.topic, record.partition, record.offset);
    let origin = Origin::default()
        .identified(identity)
        .in_partition(number, record.offset)
        .attempt(attempt_of(&headers, 1))
        .headers(headers);
    Kept {
        record,
        origin,
        deliveries: 1,
    }
}

fn record(place: &Place, message: &BorrowedMessage<'_>) -> KafkaRecord {
    let (key, payload) = copied(message.key(), message.payload());
    KafkaRecord {
        topic: Arc::clone(&place.topic),
        partition: place.partition,
        offset: offset(message),
        key,
        payload,
        timestamp_ms: message.timestamp().to_millis(),
        headers: message.headers().map(headers).unwrap_or_default(),
    }
}

/// Key and payload in one piece of memory.
fn copied(key: Option<&[u8]>, payload: Option<&[u8]>) -> (Option<Bytes>, Option<Bytes>) {
    let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
    let mut all = BytesMut::with_capacity(length(key) + length(payload));
    all.extend_from_slice(key.unwrap_or_default());
    all.extend_from_slice(payload.unwrap_or_default());
    let mut rest = all.freeze();
    let first = rest.split_to(length(key));
    (key.map(|_| first), payload.map(|_| rest))
}

/// Values are any bytes. The client panics over a name that is no text, which the protocol
/// does not know: such a header is left out.
fn headers(headers: &BorrowedHeaders) -> KafkaHeaders {
    let read = |index| {
        let header = headers.try_get(index)?;
        let value = header.value.map(Bytes::copy_from_slice);
        Some((header.key.to_owned(), value))
    };
    let read = |index| catch_unwind(|| read(index)).ok().flatten();
    KafkaHeaders::of((0..headers.count()).filter_map(read).collect())
}
