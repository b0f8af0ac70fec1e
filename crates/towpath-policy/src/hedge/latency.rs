//! How long calls take: a small histogram that forgets, and one percentile of it.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Eight buckets for each power of two, so that a time is known to one part in eight.
const FINE_BITS: u32 = 3;
const FINE: usize = 1 << FINE_BITS;

/// Times of 2^40 microseconds, twelve days, and longer share the last bucket.
const LONGEST: u64 = (1 << 40) - 1;
const BUCKETS: usize = bucket_of(LONGEST) + 1;

/// When there are more samples, half of each bucket is forgotten.
const MANY: u64 = 4096;

/// The percentile is looked up again after so many samples.
const OFTEN: u64 = 32;

/// A histogram of microseconds, of fixed size.
#[derive(Debug)]
pub(super) struct Latency {
    counts: Box<[AtomicU32; BUCKETS]>,
    seen: AtomicU64,
    percentile: f64,
    min_samples: u64,
    /// In microseconds; 0 as long as it is not known.
    known: AtomicU64,
}

impl Latency {
    pub(super) fn new(percentile: f64, min_samples: u32) -> Self {
        Self {
            counts: Box::new([const { AtomicU32::new(0) }; BUCKETS]),
            seen: AtomicU64::new(0),
            percentile,
            min_samples: min_samples.into(),
            known: AtomicU64::new(0),
        }
    }

    /// The time in which the share of calls has its answer, once there are enough samples.
    #[inline]
    pub(super) fn percentile(&self) -> Option<Duration> {
        let known = self.known.load(Relaxed);
        (known > 0).then(|| Duration::from_micros(known))
    }

    pub(super) fn record(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(LONGEST);
        let bucket = bucket_of(micros.min(LONGEST));
        self.counts[bucket].fetch_add(1, Relaxed);
        let seen = self.seen.fetch_add(1, Relaxed) + 1;
        if seen == self.min_samples || (seen > self.min_samples && seen.is_multiple_of(OFTEN)) {
            self.look();
        }
    }

    fn look(&self) {
        let total: u64 = self.counts().sum();
        self.known.store(self.at_rank(self.rank(total)), Relaxed);
        if total > MANY {
            self.forget_half();
        }
    }

    /// How many calls the share is.
    fn rank(&self, total: u64) -> u64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of a count that is small"
        )]
        let rank = (self.percentile * total as f64).ceil() as u64;
        rank
    }

    /// The time that so many calls took at most.
    fn at_rank(&self, rank: u64) -> u64 {
        let mut below = 0;
        let found = self.counts().position(|count| {
            below += count;
            below >= rank
        });
        found.map_or(LONGEST, end_of)
    }

    fn forget_half(&self) {
        for count in self.counts.iter() {
            // What is added meanwhile stays.
            count.fetch_sub(count.load(Relaxed) / 2, Relaxed);
        }
    }

    fn counts(&self) -> impl Iterator<Item = u64> {
        self.counts.iter().map(|count| count.load(Relaxed).into())
    }
}

/// The bucket of a time in microseconds.
#[expect(
    clippy::cast_possible_truncation,
    reason = "less than the bits of a u64"
)]
const fn bucket_of(micros: u64) -> usize {
    if micros < FINE as u64 {
        return micros as usize;
    }
    let power = micros.ilog2();
    let fine = (micros >> (power - FINE_BITS)) as usize % FINE;
    (power - FINE_BITS + 1) as usize * FINE + fine
}

/// The first time in microseconds that is too long for a bucket.
fn end_of(bucket: usize) -> u64 {
    let (coarse, fine) = (bucket / FINE, (bucket % FINE) as u64);
    if coarse == 0 {
        return fine + 1;
    }
    (FINE as u64 + fine + 1) << (coarse - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_its_bucket_and_known_to_one_part_in_eight() {
        for micros in (0..5_000).chain([1 << 20, (1 << 33) + 12_345, LONGEST]) {
            let end = end_of(bucket_of(micros));
            assert!(micros < end && end <= micros + 1 + micros / 8, "{micros}");
        }
    }

    #[test]
    fn nothing_is_known_before_there_are_enough_samples() {
        let latency = Latency::new(0.5, 10);
        for _ in 0..9 {
            latency.record(Duration::from_millis(5));
        }
        assert_eq!(latency.percentile(), None);
        latency.record(Duration::from_millis(5));
        assert!(latency.percentile().is_some());
    }

    #[test]
    fn the_percentile_parts_the_slow_from_the_rest() {
        let latency = Latency::new(0.9, 100);
        for n in 0..100 {
            latency.record(Duration::from_millis(if n % 10 == 0 { 900 } else { 10 }));
        }
        let known = latency.percentile().unwrap();
        assert!((10..12).contains(&known.as_millis()), "{known:?}");
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let latency = Latency::new(0.5, 10);
        for _ in 0..100_000 {
            latency.record(Duration::from_millis(900));
        }
        let total: u64 = latency.counts().sum();
        assert!(total <= MANY + OFTEN, "the counts stay small: {total}");
        for _ in 0..2 * MANY {
            latency.record(Duration::from_millis(10));
        }
        assert!(latency.percentile().unwrap() < Duration::from_millis(12));
    }
}
