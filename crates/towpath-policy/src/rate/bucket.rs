//! Buckets, and the gauge that all buckets of a limiter are measured with.

use std::sync::{
    Arc, Mutex, Weak,
    atomic::{AtomicU64, Ordering},
};

use tokio::time::Instant;

use super::{
    clock::Clock,
    gcra::{self, Gcra, Spacing},
    options::{Algorithm, Settings},
    pace::{LivePace, Pace},
    window::{self, Span, Window},
};
use crate::{Key, line::Line, lock::lock};

/// The budget of one key, or of all, and those who wait for it.
#[derive(Debug)]
pub(crate) struct Bucket {
    state: State,
    /// Nobody is admitted before, in nanoseconds.
    held_until: AtomicU64,
    line: Line,
    key: Option<Key>,
    me: Weak<Self>,
}

/// What was admitted, as the algorithm counts it.
#[derive(Debug)]
#[cfg_attr(
    shuttle,
    expect(clippy::large_enum_variant, reason = "locks are large there")
)]
enum State {
    Points(Gcra),
    /// The lock is held for a few comparisons.
    Log(Mutex<Window>),
}

/// There is no budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// There may be before long: ask again then.
    Until(Instant),
    /// There never is that much at once.
    TooHeavy {
        /// What there is at once.
        burst: u32,
    },
}

/// What was taken, and where: says what of it can still be given back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    weight: u32,
    mark: Mark,
}

#[derive(Clone, Copy, Debug)]
enum Mark {
    Point(gcra::Mark),
    Log(window::Mark),
    /// Nothing here was spent.
    Elsewhere,
}

/// What all buckets of a limiter are measured with.
#[derive(Debug)]
pub(super) struct Gauge {
    clock: Clock,
    spacing: Spacing,
    pace: LivePace,
    /// Only a sliding window has one.
    span: Option<Mutex<Span>>,
}

// === impl Bucket ===

impl Bucket {
    /// A bucket from which nothing was taken yet.
    pub(super) fn fresh(gauge: &Gauge, key: Option<Key>, now: Instant) -> Arc<Self> {
        let state = match gauge.span {
            Some(_) => State::Log(Mutex::default()),
            None => State::Points(Gcra::fresh(&gauge.pace.load(), gauge.nanos(now))),
        };
        Arc::new_cyclic(|me| Self {
            state,
            held_until: AtomicU64::new(0),
            line: Line::default(),
            key,
            me: me.clone(),
        })
    }

    /// Those who wait for budget of this bucket.
    #[inline]
    pub(crate) fn line(&self) -> &Line {
        &self.line
    }

    pub(super) fn key(&self) -> Option<&Key> {
        self.key.as_ref()
    }

    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        match &self.state {
            State::Points(_) => 1,
            State::Log(log) => lock(log).entries(),
        }
    }

    pub(super) fn me(&self) -> &Weak<Self> {
        &self.me
    }
}

// === impl Taken ===

impl Taken {
    /// Something for which nothing here was spent.
    pub(super) fn elsewhere(weight: u32) -> Self {
        let mark = Mark::Elsewhere;
        Self { weight, mark }
    }
}

// === impl Gauge ===

impl Gauge {
    pub(super) fn new(settings: &Settings, now: Instant) -> Self {
        let rate = settings.rate;
        let span = || Mutex::new(Span::of(rate));
        Self {
            clock: Clock::starting(now),
            spacing: match settings.algorithm {
                Algorithm::LeakyBucket => Spacing::Constant,
                Algorithm::TokenBucket | Algorithm::SlidingWindow => Spacing::Burst,
            },
            pace: LivePace::new(Pace::starting(rate, settings.most(rate))),
            span: (settings.algorithm == Algorithm::SlidingWindow).then(span),
        }
    }

    /// Goes on as the settings say. One at a time: the caller holds their lock.
    pub(super) fn turn(&self, settings: &Settings, now: Instant) {
        let rate = settings.rate;
        let pace = self.pace.load();
        self.pace
            .store(pace.turned(rate, settings.most(rate), self.nanos(now)));
        if let Some(span) = &self.span {
            *lock(span) = Span::of(rate);
        }
    }

    #[inline]
    pub(super) fn take(&self, bucket: &Bucket, weight: u32, now: Instant) -> Result<Taken, Denied> {
        let (pace, nanos) = (self.pace.load(), self.nanos(now));
        self.may_ask(bucket, weight, &pace, nanos)?;
        let taken = match &bucket.state {
            State::Points(points) => points
                .take(weight, self.spacing, &pace, nanos)
                .map(Mark::Point)
                .map_err(|missing| pace.when(missing, nanos)),
            State::Log(log) => {
                let span = self.span();
                lock(log).take(weight, span, nanos).map(Mark::Log)
            }
        };
        match taken {
            Ok(mark) => Ok(Taken { weight, mark }),
            Err(later) => Err(Denied::Until(self.instant(later))),
        }
    }

    /// What [`Gauge::take`] would say.
    pub(super) fn peek(&self, bucket: &Bucket, weight: u32, now: Instant) -> Result<(), Denied> {
        let (pace, nanos) = (self.pace.load(), self.nanos(now));
        self.may_ask(bucket, weight, &pace, nanos)?;
        let later = match &bucket.state {
            State::Points(points) => points
                .missing(weight, self.spacing, &pace, nanos)
                .map(|missing| pace.when(missing, nanos)),
            State::Log(log) => {
                let span = self.span();
                lock(log).room_at(weight, span, nanos)
            }
        };
        later.map_or(Ok(()), |later| Err(Denied::Until(self.instant(later))))
    }

    /// Whether a call of that weight can ever be admitted, and nobody asked for a break.
    pub(super) fn check(&self, bucket: &Bucket, weight: u32, now: Instant) -> Result<(), Denied> {
        self.may_ask(bucket, weight, &self.pace.load(), self.nanos(now))
    }

    #[inline]
    fn may_ask(&self, bucket: &Bucket, weight: u32, pace: &Pace, nanos: u64) -> Result<(), Denied> {
        let burst = pace.most();
        if weight > burst {
            return Err(Denied::TooHeavy { burst });
        }
        let held_until = bucket.held_until.load(Ordering::Acquire);
        if held_until > nanos {
            return Err(Denied::Until(self.instant(held_until)));
        }
        Ok(())
    }

    pub(super) fn give_back(&self, bucket: &Bucket, taken: Taken, clock: impl Fn() -> Instant) {
        match (&bucket.state, taken.mark) {
            (State::Points(points), Mark::Point(mark)) => {
                let clock = || (self.pace.load(), self.nanos(clock()));
                points.give_back(mark, taken.weight, clock);
            }
            (State::Log(log), Mark::Log(mark)) => lock(log).give_back(mark, taken.weight),
            _ => {}
        }
    }

    pub(super) fn hold(&self, bucket: &Bucket, until: Instant) {
        let until = self.nanos(until);
        bucket.held_until.fetch_max(until, Ordering::AcqRel);
    }

    /// From when on the bucket is as good as a fresh one.
    pub(super) fn fresh_at(&self, bucket: &Bucket, now: u64) -> u64 {
        let paid_at = match &bucket.state {
            State::Points(points) => {
                let pace = self.pace.load();
                pace.when(points.owes(&pace, now), now)
            }
            State::Log(log) => {
                let span = self.span();
                lock(log).empty_at(span)
            }
        };
        paid_at.max(bucket.held_until.load(Ordering::Acquire))
    }

    #[inline]
    pub(super) fn nanos(&self, instant: Instant) -> u64 {
        self.clock.nanos(instant)
    }

    pub(super) fn instant(&self, nanos: u64) -> Instant {
        self.clock.instant(nanos)
    }

    fn span(&self) -> Span {
        let none = Span::default();
        self.span.as_ref().map_or(none, |span| *lock(span))
    }
}
