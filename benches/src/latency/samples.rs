//! Latencies of one run, shared by the sinks that note them.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::latency::Stamped;

/// How long each message took from its source to its settlement.
#[derive(Debug, Default)]
pub struct Samples {
    noted: Mutex<Vec<Noted>>,
    slow: Mutex<HashSet<u32>>,
}

#[derive(Debug, Clone, Copy)]
struct Noted {
    id: u32,
    latency: Duration,
}

// === impl Samples ===

impl Samples {
    /// Room for a run of so many messages.
    pub fn with_capacity(messages: u32) -> Self {
        let noted = Mutex::new(Vec::with_capacity(messages as usize));
        Self {
            noted,
            slow: Mutex::default(),
        }
    }

    /// Notes that a slow worker handles this message.
    pub fn was_slow(&self, id: u32) {
        lock(&self.slow).insert(id);
    }

    /// Notes that these messages are settled now.
    pub fn settle(&self, batch: &[Stamped]) {
        let noted = batch.iter().map(|message| Noted {
            latency: message.sent.elapsed(),
            id: message.id,
        });
        lock(&self.noted).extend(noted);
    }

    /// How many were settled.
    pub fn len(&self) -> usize {
        lock(&self.noted).len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The latency that so many of a thousand messages stay within, in microseconds.
    pub fn within(&self, per_mille: usize) -> f64 {
        let mut latencies: Vec<_> = lock(&self.noted)
            .iter()
            .map(|noted| noted.latency)
            .collect();
        latencies.sort_unstable();
        let rank = (latencies.len() * per_mille)
            .div_ceil(1000)
            .saturating_sub(1);
        latencies.get(rank).copied().map_or(f64::NAN, micros)
    }

    /// The longest latency of all, in microseconds.
    pub fn slowest(&self) -> f64 {
        self.within(1000)
    }

    /// The longest latency among the messages that no slow worker handled, in microseconds.
    pub fn slowest_of_the_others(&self) -> f64 {
        let (noted, slow) = (lock(&self.noted), lock(&self.slow));
        let others = noted.iter().filter(|noted| !slow.contains(&noted.id));
        others
            .map(|noted| noted.latency)
            .max()
            .map_or(f64::NAN, micros)
    }
}

/// A holder that panicked leaves numbers that are as good as before.
fn lock<T>(numbers: &Mutex<T>) -> MutexGuard<'_, T> {
    numbers.lock().unwrap_or_else(PoisonError::into_inner)
}

fn micros(latency: Duration) -> f64 {
    latency.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, advance};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn percentiles_are_latencies_that_occurred() {
        let samples = Samples::with_capacity(100);
        let sent = Instant::now();
        for _ in 0..100 {
            advance(Duration::from_micros(1)).await;
            samples.settle(&[Stamped { id: 0, sent }]);
        }
        let percentiles = [500, 990, 1000].map(|rank| samples.within(rank).round());
        assert_eq!(
            percentiles.map(|value| format!("{value}")),
            ["50", "99", "100"]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_slow_worker_s_own_messages_are_not_the_others() {
        let samples = Samples::default();
        let sent = Instant::now();
        advance(Duration::from_millis(1)).await;
        samples.settle(&[Stamped { id: 0, sent }]);
        advance(Duration::from_millis(1)).await;
        samples.was_slow(1);
        samples.settle(&[Stamped { id: 1, sent }]);
        assert!((samples.slowest_of_the_others() - 1000.0).abs() < 1.0);
        assert!((samples.slowest() - 2000.0).abs() < 1.0);
    }
}
