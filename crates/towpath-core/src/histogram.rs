//! Durations in powers of two: small, fixed, and added without a lock.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

const BUCKETS: usize = 64;

/// Counts durations in buckets that double: bucket `i` holds `[2^i, 2^(i+1))` nanoseconds.
#[derive(Debug)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
}

/// Percentiles read from a [`Histogram`], in microseconds; upper ends of their buckets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Latency {
    /// Half of the messages took at most this long.
    pub p50_us: u64,
    /// Nine of ten took at most this long.
    pub p90_us: u64,
    /// 99 of 100 took at most this long.
    pub p99_us: u64,
    /// All took at most this long.
    pub max_us: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
        }
    }
}

impl Histogram {
    /// Adds `count` messages that took `took` each.
    pub fn add(&self, took: Duration, count: u64) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1);
        self.buckets[nanos.ilog2() as usize].fetch_add(count, Relaxed);
    }

    /// Reads the percentiles; all zero when nothing was added.
    pub fn latency(&self) -> Latency {
        let counts: Vec<u64> = self.buckets.iter().map(|b| b.load(Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        let at = |permille: u64| upper_micros(&counts, (total * permille).div_ceil(1000));
        Latency {
            p50_us: at(500),
            p90_us: at(900),
            p99_us: at(990),
            max_us: at(1000),
        }
    }
}

fn upper_micros(counts: &[u64], rank: u64) -> u64 {
    let mut seen = 0;
    let bucket = counts.iter().position(|count| {
        seen += count;
        rank > 0 && seen >= rank
    });
    bucket
        .map_or(0, |i| (1_u128 << (i + 1)).div_ceil(1000))
        .try_into()
        .unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_the_upper_ends_of_their_buckets() {
        let histogram = Histogram::default();
        histogram.add(Duration::from_micros(3), 98);
        histogram.add(Duration::from_millis(5), 2);
        let latency = histogram.latency();
        assert_eq!(latency.p50_us, 5, "3 us lies in [2.048, 4.096) us");
        assert_eq!(latency.p99_us, 8389, "5 ms lies in [4.194, 8.389) ms");
        assert_eq!(latency.max_us, latency.p99_us);
    }

    #[test]
    fn an_empty_histogram_reads_zero() {
        assert_eq!(Histogram::default().latency(), Latency::default());
    }
}
