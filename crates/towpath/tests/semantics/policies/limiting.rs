//! The rate limit of a stage: never too fast, hardly ever too slow, and nobody left out.

mod every_attempt;
mod exact;
mod keyed;
mod live;
mod rejecting;
mod shared;
mod sources;
mod stopping;

use std::{
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use towpath::BoxError;

pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// When calls began, and what for: what the other side of a limit sees.
#[derive(Clone, Debug)]
pub(super) struct Seen<T>(Arc<Mutex<Vec<(Instant, T)>>>);

impl<T: Clone + Send + 'static> Seen<T> {
    pub(super) fn new() -> Self {
        Self(Arc::default())
    }

    pub(super) fn note(&self, item: T) {
        let mut seen = self.0.lock().expect("nobody panics here");
        seen.push((Instant::now(), item));
    }

    pub(super) fn all(&self) -> Vec<(Instant, T)> {
        self.0.lock().expect("nobody panics here").clone()
    }

    pub(super) fn items(&self) -> Vec<T> {
        self.all().into_iter().map(|(_, item)| item).collect()
    }

    pub(super) fn times(&self) -> Vec<Instant> {
        self.all().into_iter().map(|(at, _)| at).collect()
    }

    /// How many calls began at this moment or later.
    pub(super) fn since(&self, moment: Instant) -> usize {
        self.times().iter().filter(|at| **at >= moment).count()
    }

    /// A handler that notes its calls and hands on what it was given, after a while.
    pub(super) fn handler(
        &self,
        takes: impl Fn(&T) -> Duration + Clone + Send + Sync + 'static,
    ) -> impl Fn(T) -> Handled<T> + Clone + Send + Sync + 'static {
        let seen = self.clone();
        move |item| {
            let (seen, takes) = (seen.clone(), takes.clone());
            Box::pin(async move {
                seen.note(item.clone());
                let takes = takes(&item);
                if !takes.is_zero() {
                    sleep(takes).await;
                }
                Ok(item)
            })
        }
    }
}

pub(super) type Handled<T> = std::pin::Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// A budget that is observed from outside: so many at once, and so many in so long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    pub(super) burst: u64,
    pub(super) count: u64,
    pub(super) per: Duration,
}

impl Budget {
    pub(super) fn per_second(count: u64, burst: u64) -> Self {
        let per = SECOND;
        Self { burst, count, per }
    }

    /// Over any interval t, no more than burst + rate * t: every pair of calls is looked at.
    #[track_caller]
    pub(super) fn holds_for(self, times: &[Instant]) {
        let weighed: Vec<_> = times.iter().map(|at| (*at, 1)).collect();
        self.holds_for_weights(&weighed);
    }

    /// The same for calls that cost more than one.
    #[track_caller]
    pub(super) fn holds_for_weights(self, calls: &[(Instant, u64)]) {
        assert!(!calls.is_empty(), "no calls show nothing");
        for (first, (from, _)) in calls.iter().enumerate() {
            let mut admitted = 0;
            for (to, weight) in &calls[first..] {
                admitted += u128::from(*weight);
                let time = to.duration_since(*from);
                let earned = u128::from(self.count) * time.as_nanos();
                let beyond = admitted.saturating_sub(u128::from(self.burst));
                assert!(
                    beyond * self.per.as_nanos() <= earned,
                    "{admitted} within {time:?} from call {first} on, of {self:?}"
                );
            }
        }
    }

    /// How long so many take at the least, from a full bucket on.
    pub(super) fn time_for(self, calls: u64) -> Duration {
        let earned = calls.saturating_sub(self.burst);
        let per = u64::try_from(self.per.as_nanos()).expect("a short time");
        Duration::from_nanos(earned * per / self.count)
    }

    /// At least 99.5 % of the budget was used, and no more than there was.
    #[track_caller]
    pub(super) fn is_used_up(self, calls: u64, took: Duration) {
        let least = self.time_for(calls);
        assert!(
            took >= least && took.mul_f64(0.995) <= least,
            "{calls} calls took {took:?}, where {least:?} is enough, of {self:?}"
        );
    }
}

/// A small number, to calculate with.
pub(super) fn float(n: usize) -> f64 {
    f64::from(u32::try_from(n).expect("a small number"))
}

/// The most calls that began within any window of this length, its end excluded.
pub(super) fn most_within(times: &[Instant], window: Duration) -> usize {
    let from = |start: &Instant| {
        let inside = |at: &&Instant| **at >= *start && at.duration_since(*start) < window;
        times.iter().filter(inside).count()
    };
    times.iter().map(from).max().unwrap_or(0)
}
