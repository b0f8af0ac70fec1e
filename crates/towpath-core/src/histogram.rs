//! Figures in powers of two: small, fixed, and added without a lock.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

const BUCKETS: usize = 64;

/// Counts figures in buckets that double: bucket `i` holds `[2^i, 2^(i+1))`. Of durations,
/// nanoseconds.
#[derive(Debug)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum: AtomicU64,
}

/// What a [`Histogram`] holds at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Distribution {
    /// How many figures.
    pub count: u64,
    /// Their sum; of durations, in nanoseconds.
    pub sum: u64,
    /// How many were in `[2^i, 2^(i+1))`, from `i = 0` up to the last bucket that holds any.
    /// The first one holds zeros too.
    pub buckets: Vec<u64>,
}

/// Percentiles of a [`Distribution`] of durations, in microseconds; upper ends of their buckets.
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
            sum: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    /// Adds `count` messages that took `took` each.
    pub fn add(&self, took: Duration, count: u64) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.add_figure(nanos, count);
    }

    /// Adds a figure `count` times.
    pub fn add_figure(&self, figure: u64, count: u64) {
        self.buckets[figure.max(1).ilog2() as usize].fetch_add(count, Relaxed);
        self.sum.fetch_add(figure.wrapping_mul(count), Relaxed);
    }

    /// What it holds now.
    pub fn distribution(&self) -> Distribution {
        let sum = self.sum.load(Relaxed);
        let mut buckets: Vec<u64> = self.buckets.iter().map(|b| b.load(Relaxed)).collect();
        let used = buckets.iter().rposition(|&count| count > 0);
        buckets.truncate(used.map_or(0, |last| last + 1));
        Distribution {
            count: buckets.iter().sum(),
            sum,
            buckets,
        }
    }

    /// Reads the percentiles; all zero when nothing was added.
    pub fn latency(&self) -> Latency {
        self.distribution().latency()
    }
}

impl Distribution {
    /// The percentiles of durations; all zero where nothing was added.
    pub fn latency(&self) -> Latency {
        let at =
            |permille: u64| upper_micros(&self.buckets, (self.count * permille).div_ceil(1000));
        Latency {
            p50_us: at(500),
            p90_us: at(900),
            p99_us: at(990),
            max_us: at(1000),
        }
    }

    /// The figures below each end of a bucket, and that end: cumulative, as Prometheus has it.
    pub fn cumulative(&self) -> impl Iterator<Item = (u128, u64)> + '_ {
        self.buckets
            .iter()
            .enumerate()
            .scan(0, |below, (i, count)| {
                *below += count;
                Some((1_u128 << (i + 1), *below))
            })
    }

    /// The end of the bucket below which that part of the figures lies, 0 to 1; `None`
    /// without any.
    pub fn quantile(&self, part: f64) -> Option<u128> {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank among counts, which are far below 2^52"
        )]
        let rank = ((self.count as f64 * part.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut ends = self.cumulative();
        ends.find(|(_, below)| *below >= rank).map(|(end, _)| end)
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
