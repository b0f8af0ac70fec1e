//! Takes messages out of the queues of the partitions, as many as are wanted.

use std::{fmt::Write as _, panic::catch_unwind, sync::Arc, time::Duration};

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
    parking::{Kept, Run},
    partitions::{InFlight, Partitions, Place},
};
use crate::{KafkaHeaders, KafkaRecord, lock::lock};

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
            let kept = vec![kept];
            deliver(intake, vec![place], Run::new(kept, counted));
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
    let mut messages = poll(queue, room);
    let offsets: Vec<_> = messages.iter().map(offset).collect();
    let (places, counted) = hand_out(group, number, &offsets);
    let Some(counted) = counted else {
        return 0;
    };
    // The assignment of the others is over.
    messages.truncate(places.len());
    let kept = keep(&queue.place, number, &messages);
    group.note_handed_out(places.len());
    deliver(intake, places, Run::new(kept, counted))
}

/// Takes messages out of a queue: as many as there is room for, unless they are large.
fn poll(queue: &Queue, room: usize) -> Vec<BorrowedMessage<'_>> {
    let (mut messages, mut bytes) = (Vec::with_capacity(room.min(RUN)), 0);
    while messages.len() < room.min(RUN) && bytes < RUN_BYTES {
        match queue.messages.poll(Duration::ZERO) {
            Some(Ok(message)) => {
                bytes += message.payload_len() + message.key_len();
                messages.push(message);
            }
            // The context has noted it, with its text.
            Some(Err(_)) => {}
            None => break,
        }
    }
    messages
}

fn offset(message: &BorrowedMessage<'_>) -> u64 {
    u64::try_from(message.offset()).unwrap_or_default()
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
    let delivered = run.kept.len().min(places.len());
    for (index, (kept, place)) in run.kept.iter().zip(places).enumerate() {
        let token = KafkaToken::new(place, run.clone(), index);
        let delivery = Delivery::new(kept.record.clone(), token);
        intake.push(delivery.with_origin(kept.origin.clone()));
    }
    delivered
}

/// A message that comes for the first time.
pub(super) fn first(number: u32, record: KafkaRecord, names: &mut Names) -> Kept {
    let headers = record.headers.texts();
    let origin = Origin::default()
        .identified(names.of_offset(record.offset))
        .in_partition(number, record.offset)
        .attempt(attempt_of(&headers, 1))
        .headers(headers);
    Kept {
        record,
        origin,
        deliveries: 1,
    }
}

/// The identities of the messages of a partition: `topic:partition:offset`.
pub(super) struct Names {
    text: String,
    /// How much of the text all have.
    common: usize,
}

impl Names {
    pub(super) fn of(place: &Place) -> Self {
        let text = format!("{}:{}:", place.topic, place.partition);
        let common = text.len();
        Self { text, common }
    }

    fn of_offset(&mut self, offset: u64) -> &str {
        self.text.truncate(self.common);
        // Writing into a string does not fail.
        let _written = write!(self.text, "{offset}");
        &self.text
    }
}

/// What is kept of messages that come for the first time, with all keys and payloads in one
/// piece of memory.
fn keep(place: &Place, number: u32, messages: &[BorrowedMessage<'_>]) -> Vec<Kept> {
    // Of their own: a count that all runs share would travel between the cores.
    let topic: Arc<str> = Arc::from(&*place.topic);
    let sizes = messages
        .iter()
        .map(|message| message.payload_len() + message.key_len());
    let mut all = BytesMut::with_capacity(sizes.sum());
    for message in messages {
        all.extend_from_slice(message.key().unwrap_or_default());
        all.extend_from_slice(message.payload().unwrap_or_default());
    }
    let mut all = all.freeze();
    let mut next = |bytes: Option<&[u8]>| bytes.map(|bytes| all.split_to(bytes.len()));
    let mut names = Names::of(place);
    let kept = messages.iter().map(|message| {
        let record = KafkaRecord {
            topic: topic.clone(),
            partition: place.partition,
            offset: offset(message),
            key: next(message.key()),
            payload: next(message.payload()),
            timestamp_ms: message.timestamp().to_millis(),
            headers: message.headers().map(headers).unwrap_or_default(),
        };
        first(number, record, &mut names)
    });
    kept.collect()
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
