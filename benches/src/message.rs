//! The 64-byte message that every contender moves, and the tally that proves it arrived.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Serialize, Serializer};

/// What a handler multiplies the number of a message by.
const MIX: u64 = 0x9E37_79B9_7F4A_7C15;

/// A payload of exactly one cache line.
#[derive(Debug, Clone)]
pub struct Message {
    /// Position in the source, from zero.
    pub id: u64,
    /// Written by the handler; a message that skipped it spoils the checksum.
    pub check: u64,
    body: [u64; 6],
}

/// A raw row of 64 bytes, for the jobs that begin with a decoder.
#[derive(Debug, Clone)]
pub struct Row([u8; 64]);

/// What came out at the end of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages acknowledged.
    pub acknowledged: u64,
    /// Wrapping sum of [`Message::check`] over them.
    pub checksum: u64,
}

/// Counts acknowledged messages; one addition for a whole batch, as a sink would.
#[derive(Debug, Default)]
pub struct Tally {
    acknowledged: AtomicU64,
    checksum: AtomicU64,
}

/// A run ended with other messages than it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected:?}, got {got:?}")]
pub struct Miscount {
    expected: Counts,
    got: Counts,
}

/// The first `messages` messages of the source, in order.
///
/// The compiler may not see where they come from: as with any real source, each message
/// has to be written to memory and read back.
pub fn source(messages: u32) -> impl Iterator<Item = Message> + Send + 'static {
    (0..u64::from(messages)).map(|id| black_box(Message::numbered(id)))
}

/// The first `messages` raw rows, in order.
pub fn rows(messages: u32) -> impl Iterator<Item = Row> + Send + 'static {
    (0..u64::from(messages)).map(|id| black_box(Message::numbered(id).encode()))
}

// === impl Row ===

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

// === impl Message ===

impl Message {
    /// Makes the message at position `id`.
    pub fn numbered(id: u64) -> Self {
        Self {
            id,
            check: 0,
            body: [id; 6],
        }
    }

    /// The work of a handler that does next to nothing.
    #[must_use]
    pub fn handled(mut self) -> Self {
        self.check = self.body[5].wrapping_mul(MIX);
        self
    }

    /// Lays the message out as a row.
    pub fn encode(&self) -> Row {
        let mut row = Row([0; 64]);
        let words = [self.id, self.check].into_iter().chain(self.body);
        for (bytes, word) in row.0.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        row
    }

    /// Reads a row back.
    pub fn decode(row: &Row) -> Self {
        let mut words = [0; 8];
        for (word, bytes) in words.iter_mut().zip(row.0.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        let [id, check, body @ ..] = words;
        Self { id, check, body }
    }

    /// Whether a filter keeps the message: always, but only its content says so.
    pub fn is_kept(&self) -> bool {
        self.body[0] == self.id
    }
}

// === impl Counts ===

impl Counts {
    /// What a run over `messages` messages must end with.
    pub fn expected(messages: u32) -> Self {
        let n = u64::from(messages);
        let numbers = n * n.saturating_sub(1) / 2;
        Self {
            acknowledged: n,
            checksum: Self::checksum_of(numbers),
        }
    }

    /// The checksum of handled messages whose numbers add up to this.
    pub fn checksum_of(numbers: u64) -> u64 {
        numbers.wrapping_mul(MIX)
    }

    /// Checks that exactly the first `messages` messages arrived, all of them handled.
    ///
    /// # Errors
    /// Fails with both counts when they differ.
    pub fn verify(self, messages: u32) -> Result<(), Miscount> {
        let expected = Self::expected(messages);
        if self == expected {
            Ok(())
        } else {
            Err(Miscount {
                expected,
                got: self,
            })
        }
    }
}

// === impl Tally ===

impl Tally {
    /// A tally at zero, to be shared with a sink.
    pub fn shared() -> Arc<Self> {
        Arc::default()
    }

    /// Acknowledges a batch.
    pub fn settle(&self, batch: &[Message]) {
        let batch = black_box(batch);
        let sum = batch
            .iter()
            .fold(0_u64, |sum, message| sum.wrapping_add(message.check));
        self.acknowledged
            .fetch_add(batch.len() as u64, Ordering::Relaxed);
        self.checksum.fetch_add(sum, Ordering::Relaxed);
    }

    /// What was acknowledged so far.
    pub fn counts(&self) -> Counts {
        Counts {
            acknowledged: self.acknowledged.load(Ordering::Acquire),
            checksum: self.checksum.load(Ordering::Acquire),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_fills_one_cache_line() {
        assert_eq!(size_of::<Message>(), 64);
    }

    #[test]
    fn a_row_decodes_to_the_message_it_came_from() {
        let message = Message::numbered(77);
        let decoded = Message::decode(&message.encode());
        assert_eq!((decoded.id, decoded.check, decoded.body), (77, 0, [77; 6]));
    }

    #[test]
    fn handled_messages_of_a_whole_run_add_up() {
        let tally = Tally::default();
        tally.settle(&source(1000).map(Message::handled).collect::<Vec<_>>());
        assert_eq!(tally.counts().verify(1000), Ok(()));
    }

    #[test]
    fn a_message_that_skipped_its_handler_is_noticed() {
        let tally = Tally::default();
        tally.settle(&source(1000).collect::<Vec<_>>());
        assert!(tally.counts().verify(1000).is_err());
    }
}
