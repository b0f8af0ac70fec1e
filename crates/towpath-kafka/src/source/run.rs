//! Messages that came together, kept until each of them is settled: any may have to come again.

use std::{ops::Range, panic::catch_unwind, sync::Arc};

use bytes::{Bytes, BytesMut};
use rdkafka::{
    Message as _,
    message::{BorrowedHeaders, BorrowedMessage, Headers as _},
};
use towpath_connector::attempt_of;
use towpath_core::{Identity, Origin};

use super::{
    parking::Kept,
    partitions::{InFlight, Place},
};
use crate::{KafkaHeaders, KafkaRecord};

/// Messages that came together: whoever has one of them keeps them all.
#[derive(Debug)]
pub(super) struct Run {
    came: Came,
    /// As long as it is there, their partition is held.
    _counted: InFlight,
}

#[derive(Debug)]
enum Came {
    New(Fetched),
    /// One that was parked.
    Again(Kept),
}

/// What the client has fetched of one partition, in three pieces of memory. A record and its
/// origin are made of it when they are handed out, and once more only if they come again.
#[derive(Debug)]
pub(super) struct Fetched {
    number: u32,
    partition: i32,
    topic: Arc<str>,
    /// All keys and payloads, one behind the other.
    bytes: Bytes,
    /// All identities, one behind the other.
    identities: Arc<str>,
    entries: Vec<Entry>,
    /// Those of the entries, in their order.
    offsets: Vec<u64>,
}

/// Where one record is.
#[derive(Debug)]
struct Entry {
    timestamp_ms: Option<i64>,
    key: Option<Part>,
    payload: Option<Part>,
    identity: Part,
    headers: KafkaHeaders,
}

/// About how many digits an offset has.
const DIGITS: usize = 8;

/// From where to where; messages are below 2 GiB.
type Part = (u32, u32);

/// Collects records, so that the client has its own memory back at once: it uses it again for
/// the next one.
pub(super) struct Fetching<'a> {
    place: &'a Place,
    number: u32,
    read_headers: bool,
    /// What all identities begin with.
    prefix: String,
    bytes: BytesMut,
    identities: String,
    entries: Vec<Entry>,
    offsets: Vec<u64>,
}

/// How much came together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Size {
    messages: usize,
    bytes: usize,
}

// === impl Run ===

impl Run {
    pub(super) fn new(fetched: Fetched, counted: InFlight) -> Self {
        Self {
            came: Came::New(fetched),
            _counted: counted,
        }
    }

    pub(super) fn again(kept: Kept, counted: InFlight) -> Self {
        Self {
            came: Came::Again(kept),
            _counted: counted,
        }
    }

    /// The record at a place among those that came together, and where it came from.
    pub(super) fn message(&self, index: usize) -> Option<(KafkaRecord, Origin)> {
        match &self.came {
            Came::New(fetched) => fetched.message(index),
            Came::Again(kept) => Some((kept.record.clone(), kept.origin.clone())),
        }
    }

    /// What it takes to deliver one of them again, when the others may go.
    pub(super) fn keep(&self, index: usize) -> Option<Kept> {
        let deliveries = match &self.came {
            Came::New(_) => 1,
            Came::Again(kept) => kept.deliveries,
        };
        let (record, mut origin) = self.message(index)?;
        origin.identity = origin.identity.map(|shared| shared.as_str().into());
        Some(Kept {
            record: record.apart(),
            origin,
            deliveries,
        })
    }
}

// === impl Fetched ===

impl Fetched {
    pub(super) fn offsets(&self) -> &[u64] {
        &self.offsets
    }

    /// Leaves the first `count`.
    pub(super) fn truncate(&mut self, count: usize) {
        self.entries.truncate(count);
        self.offsets.truncate(count);
    }

    fn message(&self, index: usize) -> Option<(KafkaRecord, Origin)> {
        let entry = self.entries.get(index)?;
        let offset = *self.offsets.get(index)?;
        let bytes = |part: Option<Part>| part.map(|part| self.bytes.slice(range(part)));
        let record = KafkaRecord {
            topic: self.topic.clone(),
            partition: self.partition,
            offset,
            key: bytes(entry.key),
            payload: bytes(entry.payload),
            timestamp_ms: entry.timestamp_ms,
            headers: entry.headers.clone(),
        };
        let headers = entry.headers.texts();
        let origin = Origin::default()
            .identified(Identity::part_of(&self.identities, range(entry.identity)))
            .in_partition(self.number, offset)
            .attempt(attempt_of(&headers, 1))
            .headers(headers);
        Some((record, origin))
    }
}

fn range((from, to): Part) -> Range<usize> {
    from as usize..to as usize
}

// === impl Fetching ===

impl<'a> Fetching<'a> {
    /// Of a partition with that number, of which about as much is expected as came last.
    pub(super) fn of(place: &'a Place, number: u32, like: Size, read_headers: bool) -> Self {
        let prefix = format!("{}:{}:", place.topic, place.partition);
        let text = like.messages * (prefix.len() + DIGITS);
        Self {
            place,
            number,
            read_headers,
            prefix,
            bytes: BytesMut::with_capacity(like.bytes),
            identities: String::with_capacity(text),
            entries: Vec::with_capacity(like.messages),
            offsets: Vec::with_capacity(like.messages),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How much memory keys and payloads take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn size(&self) -> Size {
        Size {
            messages: self.len(),
            bytes: self.bytes(),
        }
    }

    pub(super) fn push(&mut self, message: &BorrowedMessage<'_>) {
        let carried = self.read_headers.then(|| message.headers()).flatten();
        self.add(
            u64::try_from(message.offset()).unwrap_or_default(),
            message.timestamp().to_millis(),
            message.key(),
            message.payload(),
            carried.map(headers).unwrap_or_default(),
        );
    }

    pub(super) fn add(
        &mut self,
        offset: u64,
        timestamp_ms: Option<i64>,
        key: Option<&[u8]>,
        payload: Option<&[u8]>,
        headers: KafkaHeaders,
    ) {
        let entry = Entry {
            timestamp_ms,
            key: self.copy(key),
            payload: self.copy(payload),
            identity: self.identify(offset),
            headers,
        };
        self.entries.push(entry);
        self.offsets.push(offset);
    }

    fn copy(&mut self, bytes: Option<&[u8]>) -> Option<Part> {
        let from = self.bytes.len();
        self.bytes.extend_from_slice(bytes?);
        Some(part(from, self.bytes.len()))
    }

    fn identify(&mut self, offset: u64) -> Part {
        let from = self.identities.len();
        self.identities.push_str(&self.prefix);
        let mut digits = itoa::Buffer::new();
        self.identities.push_str(digits.format(offset));
        part(from, self.identities.len())
    }

    /// Keeps no more memory than twice of what it takes.
    pub(super) fn finish(mut self) -> Fetched {
        if self.entries.len() < self.entries.capacity() / 2 {
            self.entries.shrink_to_fit();
            self.offsets.shrink_to_fit();
        }
        let is_half_empty = self.bytes.len() < self.bytes.capacity() / 2;
        let bytes = if is_half_empty {
            Bytes::copy_from_slice(&self.bytes)
        } else {
            self.bytes.freeze()
        };
        Fetched {
            number: self.number,
            partition: self.place.partition,
            // Of their own: a count that all runs share would travel between the cores.
            topic: Arc::from(&*self.place.topic),
            bytes,
            identities: self.identities.into(),
            entries: self.entries,
            offsets: self.offsets,
        }
    }
}

/// The client's own limits keep all of it below 4 GiB.
fn part(from: usize, to: usize) -> Part {
    let place = |at| u32::try_from(at).unwrap_or(u32::MAX);
    (place(from), place(to))
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

#[cfg(test)]
mod tests {
    use super::{super::partitions::Partitions, *};

    fn place() -> Place {
        Place {
            topic: "orders".into(),
            partition: 3,
        }
    }

    /// A record with all it can have, between two that have little.
    fn run() -> Run {
        let place = place();
        let mut fetching = Fetching::of(&place, 7, Size::default(), true);
        let headers = [("tenant", "a"), ("towpath-attempt", "4")];
        fetching.add(9, None, None, None, KafkaHeaders::default());
        fetching.add(
            12,
            Some(34),
            Some(b"key"),
            Some(b"payload"),
            headers.into_iter().collect(),
        );
        fetching.add(13, None, Some(b""), Some(b""), KafkaHeaders::default());
        let mut partitions = Partitions::default();
        partitions.assign(7, place.clone());
        Run::new(fetching.finish(), partitions.hand_out(7, 3, 13).unwrap())
    }

    #[test]
    fn a_record_and_its_origin_are_made_of_what_came_together() {
        let run = run();
        let (record, origin) = run.message(1).unwrap();
        assert_eq!(
            (&*record.topic, record.partition, record.offset),
            ("orders", 3, 12)
        );
        assert_eq!(record.key.as_deref(), Some(&b"key"[..]));
        assert_eq!(
            (record.as_ref(), record.timestamp_ms),
            (&b"payload"[..], Some(34))
        );
        assert_eq!(record.headers.get("tenant"), Some(&b"a"[..]));
        assert_eq!(origin.identity.unwrap().as_str(), "orders:3:12");
        assert_eq!(
            (origin.attempt, origin.headers.get("tenant")),
            (4, Some("a"))
        );
        assert!(run.message(3).is_none());
    }

    #[test]
    fn a_tombstone_is_no_empty_record() {
        let run = run();
        let (tombstone, empty) = (run.message(0).unwrap().0, run.message(2).unwrap().0);
        assert_eq!((tombstone.key, tombstone.payload), (None, None));
        assert_eq!(
            (empty.key, empty.payload),
            (Some(Bytes::new()), Some(Bytes::new()))
        );
    }

    #[test]
    fn what_may_come_again_is_the_same_and_shares_no_memory_with_the_others() {
        let run = run();
        let (record, origin) = run.message(1).unwrap();
        let kept = run.keep(1).unwrap();
        assert_eq!((&kept.record, &kept.origin), (&record, &origin));
        let (one, other) = (record.payload.unwrap(), kept.record.payload.unwrap());
        assert_ne!(one.as_ptr(), other.as_ptr());
        assert_eq!(Arc::<str>::from(&kept.origin.identity.unwrap()).len(), 11);
        assert!(run.keep(3).is_none());
    }

    #[test]
    fn memory_that_was_not_needed_is_given_back() {
        let place = place();
        let much = Size {
            messages: 256,
            bytes: 64 * 1024,
        };
        let mut fetching = Fetching::of(&place, 0, much, true);
        fetching.add(1, None, None, Some(b"one"), KafkaHeaders::default());
        let fetched = fetching.finish();
        assert_eq!(
            (fetched.entries.capacity(), fetched.offsets.capacity()),
            (1, 1)
        );
        assert!(fetched.bytes.try_into_mut().unwrap().capacity() < 64);
    }
}
