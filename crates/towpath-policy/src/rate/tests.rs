//! What the limiter promises, against the clock and against simple models.

#![cfg(not(shuttle))]

mod exactness;
mod keyed;
mod live;
mod model;
mod refunds;
mod shared;
mod sliding;
mod throughput;
mod words;

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_test::task::{self, Spawn};

use super::{
    bucket::{Bucket, Denied, Taken},
    limiter::Limiter,
    options::RateLimit,
    rate_value::{InvalidRate, Rate},
};
use crate::{Key, line::Place};

const NANOS_PER_SECOND: u64 = 1_000_000_000;
const MILLI: u64 = 1_000_000;

/// A limiter, and a clock in nanoseconds that the test sets.
struct Bench {
    limiter: Limiter,
    start: Instant,
    now: u64,
}

impl Bench {
    fn of<L>(options: &RateLimit<L>) -> Self {
        let start = Instant::now();
        Self {
            limiter: Limiter::new(options, start),
            start,
            now: 0,
        }
    }

    fn at(&mut self, now: u64) -> &mut Self {
        self.now = now;
        self
    }

    fn instant(&self) -> Instant {
        self.start + Duration::from_nanos(self.now)
    }

    fn nanos(&self, instant: Instant) -> u64 {
        let since = instant.saturating_duration_since(self.start);
        u64::try_from(since.as_nanos()).unwrap()
    }

    fn bucket(&self) -> Arc<Bucket> {
        self.limiter.global().clone()
    }

    fn key(&self, key: u64) -> Result<Arc<Bucket>, u64> {
        self.limiter
            .bucket(Some(Key::from(key)), self.instant())
            .map_err(|later| self.nanos(later))
    }

    fn take(&self, weight: u32) -> Result<Taken, Denied> {
        self.limiter.take(&self.bucket(), weight, self.instant())
    }

    fn peek(&self, weight: u32) -> Result<(), Denied> {
        self.limiter.peek(&self.bucket(), weight, self.instant())
    }

    fn admits(&self, weight: u32) -> bool {
        self.take(weight).is_ok()
    }

    /// How many of weight one are admitted now.
    fn drain(&self) -> u64 {
        let mut admitted = 0;
        while self.admits(1) {
            admitted += 1;
        }
        admitted
    }

    /// When a call that is denied now may ask again.
    fn later(&self, weight: u32) -> u64 {
        match self.take(weight) {
            Err(Denied::Until(until)) => self.nanos(until),
            other => panic!("expected to be told to wait, not {other:?}"),
        }
    }

    fn give_back(&self, taken: Taken) {
        let now = self.instant();
        self.limiter.give_back_at(&self.bucket(), taken, || now);
    }

    fn set_rate(&self, rate: Rate) -> Result<(), InvalidRate> {
        self.limiter.set_rate_at(rate, self.instant())
    }
}

/// Somebody in the line of a bucket.
struct Waiter {
    task: Spawn<()>,
    place: Place,
}

impl Default for Waiter {
    fn default() -> Self {
        Self {
            task: task::spawn(()),
            place: Place::default(),
        }
    }
}

impl Waiter {
    fn join(&mut self, bucket: &Bucket) -> bool {
        let place = &mut self.place;
        self.task
            .enter(|cx, _| bucket.line().join(place, cx.waker()))
    }

    fn is_woken(&self) -> bool {
        self.task.is_woken()
    }

    fn leave(&mut self, bucket: &Bucket) {
        bucket.line().leave(&mut self.place);
    }
}

/// What was admitted when.
#[derive(Clone, Copy, Debug)]
struct Admitted {
    at: u64,
    weight: u32,
}

/// Checks that over any interval no more was admitted than the burst and what came in.
///
/// In exact arithmetic: an interval is as long as its clock says, to the nanosecond.
fn assert_exact(admitted: &[Admitted], rate: Rate, burst: u32) {
    let (count, period) = (u128::from(rate.count()), rate.period().as_nanos());
    for (index, first) in admitted.iter().enumerate() {
        let mut sum = 0;
        for last in &admitted[index..] {
            sum += u128::from(last.weight);
            let time = u128::from(last.at - first.at);
            assert!(
                sum * period <= u128::from(burst) * period + count * time,
                "{sum} within {time} ns at {rate}, burst {burst}"
            );
        }
    }
}
