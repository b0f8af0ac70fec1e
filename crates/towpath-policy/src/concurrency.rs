//! Concurrency: how many calls run at once, fixed or adaptive.

use std::fmt;

use serde::Deserialize;

use towpath_options::Problems;

mod adaptive;
mod permits;
#[cfg(all(test, not(shuttle)))]
mod tests;
mod written;

pub(crate) use self::{adaptive::Adaptive, permits::Permits};

/// Limits how many calls run at once. The others wait, first come first served.
///
/// An adaptive limit finds out how many calls the service bears. It is raised by one when it
/// was reached and calls took no longer than usual; it is lowered, at most once in the time
/// that a call takes, when the service says that it is overloaded or when calls take longer
/// than usual. What is usual follows the service slowly, so neither a fast call nor a slow
/// one has a lasting effect.
///
/// | option of an adaptive limit | default |
/// |---|---|
/// | between | 1 and 200 |
/// | start at | 10, or the nearest that is allowed |
/// | tolerance | 0.25 |
/// | decrease | 0.9 |
///
/// In data it is a number, `"adaptive"`, or an adaptive limit with its options, which have
/// the names of the methods:
///
/// ```
/// use towpath_policy::Concurrency;
///
/// let read = |text| serde_json::from_str::<Concurrency>(text).unwrap();
/// assert_eq!(read("20"), Concurrency::limit(20));
/// assert_eq!(read("\"adaptive\""), Concurrency::adaptive());
/// assert_eq!(
///     read(r#"{ "adaptive": { "between": [2, 50], "start_at": 5 } }"#),
///     Concurrency::adaptive().between(2, 50).start_at(5),
/// );
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use = "options do nothing until a service is built with them"]
pub struct Concurrency(Kind);

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Limit(usize),
    Adaptive(AdaptiveOptions),
}

/// The options of an adaptive limit.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AdaptiveOptions {
    between: (usize, usize),
    start_at: Option<usize>,
    tolerance: f64,
    decrease: f64,
}

/// Where an adaptive limit starts: enough to learn from, too little to do harm.
const START_AT: usize = 10;

// === impl Concurrency ===

impl Concurrency {
    /// So many calls at once, at least 1.
    pub fn limit(calls: usize) -> Self {
        Self(Kind::Limit(calls))
    }

    /// As many calls at once as the service bears.
    pub fn adaptive() -> Self {
        Self(Kind::Adaptive(AdaptiveOptions::default()))
    }

    /// Keeps the adaptive limit between these two, both included.
    ///
    /// A fixed limit becomes an adaptive one that starts there: so for all that follow.
    pub fn between(self, least: usize, most: usize) -> Self {
        self.adapt(|options| options.between = (least, most))
    }

    /// The limit before anything is known of the service.
    pub fn start_at(self, calls: usize) -> Self {
        self.adapt(|options| options.start_at = Some(calls))
    }

    /// How much longer than usual calls may take: 0.25 is a quarter. Where they vary by more
    /// than that anyway, more is tolerated.
    pub fn tolerance(self, part: f64) -> Self {
        self.adapt(|options| options.tolerance = part)
    }

    /// What a lowered limit is of the concurrency that the service seems to bear. Never less
    /// than half of the limit before.
    pub fn decrease(self, ratio: f64) -> Self {
        self.adapt(|options| options.decrease = ratio)
    }

    /// Adds all that is wrong with the options.
    pub fn problems(&self, problems: &mut Problems) {
        match &self.0 {
            Kind::Limit(calls) => expect_calls(problems, "limit", *calls),
            Kind::Adaptive(options) => {
                problems.within("adaptive", |problems| options.problems(problems));
            }
        }
    }

    /// The highest limit it may come to by itself.
    pub(crate) fn adapts_up_to(&self) -> Option<usize> {
        self.adaptive_options().map(|options| options.between.1)
    }

    pub(crate) fn adaptive_options(&self) -> Option<&AdaptiveOptions> {
        match &self.0 {
            Kind::Limit(_) => None,
            Kind::Adaptive(options) => Some(options),
        }
    }

    /// The limit that it begins with, and ends with when it is fixed.
    pub(crate) fn fixed_limit(&self) -> usize {
        match &self.0 {
            Kind::Limit(calls) => *calls,
            Kind::Adaptive(options) => options.initial(),
        }
    }

    fn adapt(self, change: impl FnOnce(&mut AdaptiveOptions)) -> Self {
        let mut options = match self.0 {
            Kind::Adaptive(options) => options,
            Kind::Limit(calls) => AdaptiveOptions {
                start_at: Some(calls),
                ..AdaptiveOptions::default()
            },
        };
        change(&mut options);
        Self(Kind::Adaptive(options))
    }
}

/// Such as `20 at once` and `1 to 200 at once`.
impl fmt::Display for Concurrency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Limit(calls) => write!(f, "{calls} at once"),
            Kind::Adaptive(options) => {
                let (least, most) = options.between;
                write!(f, "{least} to {most} at once")
            }
        }
    }
}

// === impl AdaptiveOptions ===

impl AdaptiveOptions {
    /// The limit before anything is known of the service.
    fn initial(&self) -> usize {
        let (least, most) = self.between;
        self.start_at.unwrap_or(START_AT.min(most).max(least))
    }

    fn problems(&self, problems: &mut Problems) {
        let (least, most) = self.between;
        expect_calls(problems, "between", least);
        if most < least {
            let message = format!("must not end at {most}, below {least} where it begins");
            problems.add("between", message);
        }
        let start = self.initial();
        if least <= most && !(least..=most).contains(&start) {
            let message = format!("must be from {least} to {most}, not {start}");
            problems.add("start_at", message);
        }
        problems.expect_between("tolerance", self.tolerance, 0.01, 10.0);
        problems.expect_between("decrease", self.decrease, 0.5, 0.99);
    }
}

impl Default for AdaptiveOptions {
    fn default() -> Self {
        Self {
            between: (1, 200),
            start_at: None,
            tolerance: 0.25,
            decrease: 0.9,
        }
    }
}

fn expect_calls(problems: &mut Problems, path: &str, calls: usize) {
    if calls == 0 {
        problems.add(path, "must be at least 1");
    }
}
