//! Retry: when to try again, how often, and at what cost.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use humantime::format_duration;
use serde::Deserialize;
use tokio::time::Instant;

use towpath_options::Problems;

use crate::class::{Classify, Standard};

mod backoff;
mod budget;
mod schedule;
#[cfg(test)]
mod tests;
mod written;

pub(crate) use backoff::Backoff;
pub use backoff::Jitter;
pub(crate) use budget::Budget;

use budget::Terms;
use schedule::Schedule;

/// When to try again, how often, and at what cost.
///
/// Without more words: five attempts, the first included, with full jitter below 100 ms, 200 ms,
/// 400 ms and 800 ms, and a budget of one retry for every five calls and ten per second beside.
///
/// In options every setter is a field of the same name. Functions are set in code, also
/// after the rest was read.
///
/// ```
/// use std::time::Duration;
/// use towpath_policy::{Jitter, Retry};
///
/// let retry = Retry::exponential(Duration::from_millis(50), Duration::from_secs(10))
///     .attempts(6)
///     .jitter(Jitter::Equal)
///     .deadline(Duration::from_secs(60))
///     .budget(0.1);
/// let read: Retry = serde_json::from_str(
///     r#"{
///         "exponential": { "base": "50ms", "cap": "10s" },
///         "attempts": 6,
///         "jitter": "equal",
///         "deadline": "1m",
///         "budget": 0.1
///     }"#,
/// )?;
/// assert_eq!(format!("{read:?}"), format!("{retry:?}"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Deserialize)]
#[serde(try_from = "written::Written")]
#[must_use]
pub struct Retry {
    schedule: Schedule,
    attempts: u32,
    jitter: Option<Jitter>,
    seed: Option<u64>,
    deadline: Option<Duration>,
    terms: Terms,
    classify: Arc<dyn Classify>,
}

/// What a retry does, made from its options once for all clones of a service.
#[derive(Debug)]
pub(crate) struct Retrying {
    /// How many attempts there are, the first included.
    pub(crate) attempts: u32,
    /// The time for all attempts.
    pub(crate) deadline: Option<Duration>,
    pub(crate) backoff: Backoff,
    pub(crate) budget: Budget,
}

// === impl Retry ===

impl Retry {
    /// Waits `base` before the second attempt, and twice as long before each further one, but
    /// never longer than `cap`; with [`Jitter::Full`].
    pub fn exponential(base: Duration, cap: Duration) -> Self {
        Self::on(Schedule::Exponential { base, cap })
    }

    /// Waits `delay` before each attempt but the first; without jitter.
    pub fn fixed(delay: Duration) -> Self {
        Self::on(Schedule::Fixed(delay))
    }

    /// Waits as long as `delay` says, which is given the number of the retry (1 comes before the
    /// second attempt) and the error; without jitter. `None` means no further attempt.
    pub fn custom<F>(delay: F) -> Self
    where
        F: Fn(u32, &(dyn Error + 'static)) -> Option<Duration> + Send + Sync + 'static,
    {
        Self::on(Schedule::Custom(Arc::new(delay)))
    }

    fn on(schedule: Schedule) -> Self {
        Self {
            schedule,
            attempts: 5,
            jitter: None,
            seed: None,
            deadline: None,
            terms: Terms::default(),
            classify: Arc::new(Standard::new()),
        }
    }

    /// How many attempts there are, the first included: 5 by default.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// How much chance there is in the delays.
    pub fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = Some(jitter);
        self
    }

    /// Makes the delays the same in each run; without it they are not.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The time for all attempts and the delays between them; none by default.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// How many retries there may be for each call of the last ten seconds: 0.2 by default.
    ///
    /// The budget is one for all clones. It bounds what a dead backend has to bear: of a
    /// thousand calls that all fail come 1200 attempts, not 5000. `attempts - 1` never refuses.
    pub fn budget(mut self, ratio: f64) -> Self {
        self.terms.ratio = ratio;
        self
    }

    /// How many retries per second there may be beside the budget: 10 by default.
    ///
    /// They let a quiet service retry. As many are there at the start, and no more pile up.
    /// In options `"10/s"`, or the number alone.
    pub fn budget_at_least(mut self, per_second: u32) -> Self {
        self.terms.at_least = per_second;
        self
    }

    /// What says which errors are worth another attempt: [`Standard`] by default.
    pub fn classify(mut self, classify: impl Classify) -> Self {
        self.classify = Arc::new(classify);
        self
    }

    /// What says which errors are worth another attempt.
    pub(crate) fn classifier(&self) -> Arc<dyn Classify> {
        Arc::clone(&self.classify)
    }

    /// Whether there is more than one attempt.
    pub(crate) fn repeats(&self) -> bool {
        self.attempts > 1
    }

    fn effective_jitter(&self) -> Jitter {
        self.jitter.unwrap_or_else(|| self.schedule.usual_jitter())
    }

    /// Adds everything that is wrong with these options.
    pub(crate) fn problems(&self, problems: &mut Problems) {
        self.schedule.problems(problems);
        problems.expect_some("attempts", self.attempts);
        if self.jitter == Some(Jitter::Decorrelated) && !self.schedule.grows() {
            problems.add("jitter", "decorrelated needs an exponential schedule");
        }
        if let Some(deadline) = self.deadline {
            problems.expect_time("deadline", deadline);
        }
        self.terms.problems(problems);
    }

    /// Starts to retry: the budget is as new.
    pub(crate) fn start(&self, now: Instant) -> Retrying {
        Retrying {
            attempts: self.attempts,
            deadline: self.deadline,
            backoff: Backoff::new(self.schedule.clone(), self.effective_jitter(), self.seed),
            budget: Budget::new(self.terms, now),
        }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self::on(Schedule::default())
    }
}

/// In words, such as `5 attempts, 100ms doubled up to 10s, full jitter, budget 0.2 + 10/s`.
impl fmt::Display for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (schedule, jitter) = (&self.schedule, self.effective_jitter());
        write!(f, "{} attempts, {schedule}", self.attempts)?;
        if jitter != Jitter::None {
            write!(f, ", {jitter} jitter")?;
        }
        if let Some(deadline) = self.deadline {
            write!(f, ", within {}", format_duration(deadline))?;
        }
        write!(
            f,
            ", budget {} + {}/s",
            self.terms.ratio, self.terms.at_least
        )
    }
}

impl fmt::Debug for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("schedule", &self.schedule)
            .field("attempts", &self.attempts)
            .field("jitter", &self.effective_jitter())
            .field("seed", &self.seed)
            .field("deadline", &self.deadline)
            .field("budget", &self.terms.ratio)
            .field("budget_at_least", &self.terms.at_least)
            .finish_non_exhaustive()
    }
}
