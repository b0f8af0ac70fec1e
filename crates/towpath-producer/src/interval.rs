//! A source that ticks.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};
use towpath_core::{BoxError, Delivery, Intake, Producer, Received, Unacknowledged};

/// Ticks at a steady interval; the payload is the number of the tick, from 0.
///
/// The first tick comes at once, as with [`tokio::time::interval`]. Ticks that nobody
/// took in time are, unless said otherwise, not made up for: the next one comes a period
/// after the late one ([`MissedTickBehavior::Delay`]). Goes on for ever without a
/// [`limit`](Self::limit).
///
/// ```
/// use std::time::Duration;
/// use towpath_producer::IntervalSource;
///
/// let ticks = IntervalSource::new(Duration::from_secs(1)).limit(60);
/// # let _ = ticks;
/// ```
#[derive(Debug)]
#[must_use]
pub struct IntervalSource {
    period: Duration,
    missed: MissedTickBehavior,
    limit: u64,
    next: u64,
    /// Made by the first call, where there is a runtime.
    clock: Option<Interval>,
}

/// An interval of no length has no ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the period of an interval is zero")]
#[non_exhaustive]
pub struct ZeroPeriod;

impl IntervalSource {
    /// A tick every `period`.
    pub fn new(period: Duration) -> Self {
        Self {
            period,
            missed: MissedTickBehavior::Delay,
            limit: u64::MAX,
            next: 0,
            clock: None,
        }
    }

    /// What becomes of ticks that nobody took in time.
    pub fn missed(mut self, missed: MissedTickBehavior) -> Self {
        self.missed = missed;
        self
    }

    /// Ends after `ticks` ticks.
    pub fn limit(mut self, ticks: u64) -> Self {
        self.limit = ticks;
        self
    }

    fn over(&self) -> Received {
        if self.next < self.limit {
            Received::More
        } else {
            Received::End
        }
    }

    fn start(&self) -> Result<Interval, ZeroPeriod> {
        if self.period.is_zero() {
            return Err(ZeroPeriod);
        }
        let mut clock = interval(self.period);
        clock.set_missed_tick_behavior(self.missed);
        Ok(clock)
    }
}

impl Producer for IntervalSource {
    type Payload = u64;
    type Acknowledger = Unacknowledged;

    /// # Errors
    /// Fails with [`ZeroPeriod`].
    async fn open(&mut self) -> Result<(), BoxError> {
        self.clock = Some(self.start()?);
        Ok(())
    }

    async fn receive(&mut self, intake: &mut Intake<u64, ()>) -> Result<Received, BoxError> {
        if intake.room() == 0 || self.over() == Received::End {
            return Ok(self.over());
        }
        let clock = match self.clock.take() {
            Some(clock) => clock,
            None => self.start()?,
        };
        self.clock.insert(clock).tick().await;
        intake.push(Delivery::new(self.next, ()));
        self.next += 1;
        Ok(self.over())
    }
}

#[cfg(test)]
mod tests;
