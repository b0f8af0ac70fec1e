//! The options of a circuit breaker.

use std::{fmt, sync::Arc, time::Duration};

use humantime::format_duration;
use serde::Deserialize;
use tokio::time::Instant;

use super::{Breaker, names, settings::Settings};
use towpath_options::{InvalidOptions, Problems, duration};

/// Stops calling a service that fails, and finds out when it works again.
///
/// Closed, it counts. Open, it lets nothing through. After the open time it is half-open: a
/// few calls are let through as probes, and what becomes of them closes or opens it.
///
/// | option | default |
/// |---|---|
/// | failure rate that opens it | 0.5 |
/// | window | the last 100 calls |
/// | slow calls | do not count |
/// | calls in the window before it may open | 10, or the whole window if that is less |
/// | open time | 5 s, not growing |
/// | probes at once | 3 |
/// | probes that must succeed | as many as are let through at once |
/// | half-open time | 30 s |
/// | while it is open | calls wait |
///
/// In data the options have the names of the methods, but `name` and `when_open`
/// (`"wait"` or `"reject"`):
///
/// ```
/// use towpath_policy::CircuitBreaker;
///
/// let breaker: CircuitBreaker = serde_json::from_str(
///     r#"{
///         "failure_rate": 0.3,
///         "over": "30s",
///         "slow_calls": { "rate": 0.8, "threshold": "2s" },
///         "growing": { "factor": 2, "max": "1m" },
///         "name": "crm"
///     }"#,
/// ).unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use = "options do nothing until a service is built with them"]
pub struct CircuitBreaker {
    pub(super) failure_rate: f64,
    #[serde(deserialize_with = "duration::option::deserialize")]
    pub(super) over: Option<Duration>,
    pub(super) over_calls: Option<u32>,
    pub(super) slow_calls: Option<SlowCalls>,
    pub(super) min_calls: Option<u32>,
    #[serde(deserialize_with = "duration::deserialize")]
    pub(super) open_for: Duration,
    pub(super) growing: Option<Growing>,
    pub(super) probes: u32,
    pub(super) probe_successes: Option<u32>,
    #[serde(deserialize_with = "duration::deserialize")]
    pub(super) half_open_for: Duration,
    pub(super) name: Option<Arc<str>>,
    pub(super) when_open: WhenOpen,
}

/// Slow calls count too: which they are, and how many open the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SlowCalls {
    /// The part of the calls in the window that opens the breaker, more than 0 and up to 1.
    pub rate: f64,
    /// A call is slow when it takes longer.
    #[serde(deserialize_with = "duration::deserialize")]
    pub threshold: Duration,
}

/// How the open time grows from one failed probe to the next.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Growing {
    /// What each open time is multiplied by, 1 or more.
    pub factor: f64,
    /// The longest open time.
    #[serde(deserialize_with = "duration::deserialize")]
    pub max: Duration,
}

/// What calls do while the breaker does not let them through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WhenOpen {
    /// They wait: on a stage, demand stops.
    #[default]
    Wait,
    /// They fail at once.
    Reject,
}

/// The part of failed calls that opens the breaker.
const FAILURE_RATE: f64 = 0.5;

/// The window: few, so that it opens before the attempts of those that fail are spent.
const OVER_CALLS: u32 = 100;

/// Calls in the window before it is judged.
const MIN_CALLS: u32 = 10;

/// The open time.
const OPEN_FOR: Duration = Duration::from_secs(5);

/// Probes at once.
const PROBES: u32 = 3;

/// How long probes may be out.
const HALF_OPEN_FOR: Duration = Duration::from_secs(30);

/// Over what the rates are taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Extent {
    Time(Duration),
    Calls(u32),
}

// === impl CircuitBreaker ===

impl CircuitBreaker {
    /// Opens when this part of the calls in the window failed: more than 0, up to 1.
    pub fn failure_rate(rate: f64) -> Self {
        Self {
            failure_rate: rate,
            ..Self::default()
        }
    }

    /// Takes the rates over the calls of the last `window`. It slides in tenths.
    pub fn over(mut self, window: Duration) -> Self {
        self.over = Some(window);
        self.over_calls = None;
        self
    }

    /// Takes the rates over the last `calls`, however long ago they were. It slides in
    /// tenths, or call by call when there are fewer than twenty.
    pub fn over_calls(mut self, calls: u32) -> Self {
        self.over_calls = Some(calls);
        self.over = None;
        self
    }

    /// Opens also when this part of the calls in the window took longer than `threshold`,
    /// whether they failed or not. A slow probe counts as failed.
    pub fn slow_calls(mut self, rate: f64, threshold: Duration) -> Self {
        self.slow_calls = Some(SlowCalls { rate, threshold });
        self
    }

    /// Does not open before there are so many calls in the window.
    pub fn min_calls(mut self, calls: u32) -> Self {
        self.min_calls = Some(calls);
        self
    }

    /// Stays open that long before the first probe is let through.
    pub fn open_for(mut self, time: Duration) -> Self {
        self.open_for = time;
        self
    }

    /// Multiplies the open time by `factor` each time that a probe fails, up to `max`.
    /// Once the breaker has closed, the open time is what it was at first.
    pub fn growing(mut self, factor: f64, max: Duration) -> Self {
        self.growing = Some(Growing { factor, max });
        self
    }

    /// Lets so many calls through at once while it is half-open.
    pub fn probes(mut self, at_once: u32) -> Self {
        self.probes = at_once;
        self
    }

    /// Closes when so many probes have succeeded, and none has failed.
    pub fn probe_successes(mut self, successes: u32) -> Self {
        self.probe_successes = Some(successes);
        self
    }

    /// Opens again when probes have been out for so long, from when the first of them was
    /// let through. What they come to after that does not count.
    pub fn half_open_for(mut self, time: Duration) -> Self {
        self.half_open_for = time;
        self
    }

    /// Shares one breaker with all services of this process whose breaker has this name.
    ///
    /// All of them state the same options; only whether calls wait may differ. Building
    /// with others fails while the breaker lives. It lives as long as a service with it.
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Lets calls wait while it is open. This is the default: on a stage, demand stops.
    pub fn waiting(mut self) -> Self {
        self.when_open = WhenOpen::Wait;
        self
    }

    /// Fails calls at once while it is open, with [`BreakerOpen`](crate::BreakerOpen).
    pub fn rejecting(mut self) -> Self {
        self.when_open = WhenOpen::Reject;
        self
    }

    /// Adds all that is wrong with the options.
    pub(crate) fn problems(&self, problems: &mut Problems) {
        self.find_problems_of_window(problems);
        self.find_problems_of_life(problems);
    }

    /// The breaker: a new one, or the living one of its name. The options have no problems.
    ///
    /// # Errors
    /// Fails when the living one was built with other options.
    pub(crate) fn start(&self, now: Instant) -> Result<Breaker, InvalidOptions> {
        let settings = Settings::new(self);
        let shared = names::share(&settings, now);
        if *shared.settings() != settings {
            let mut problems = Problems::new();
            problems.add("circuit_breaker.name", "is in use with other options");
            problems.into_result()?;
        }
        Ok(Breaker::new(shared, self.when_open == WhenOpen::Reject))
    }

    pub(super) fn extent(&self) -> Extent {
        match self.over_calls {
            Some(calls) => Extent::Calls(calls),
            None => self.over.map_or(Extent::Calls(OVER_CALLS), Extent::Time),
        }
    }

    /// Stated, or such that a small window is no problem.
    pub(super) fn min_calls_in_window(&self) -> u32 {
        let window = self.over_calls.unwrap_or(u32::MAX);
        self.min_calls.unwrap_or(MIN_CALLS.min(window))
    }

    fn find_problems_of_window(&self, problems: &mut Problems) {
        expect_rate(problems, "failure_rate", self.failure_rate);
        if let Some(time) = self.over {
            problems.expect_time("over", time);
        }
        if let Some(calls) = self.over_calls {
            problems.expect_some("over_calls", calls);
        }
        if self.over.is_some() && self.over_calls.is_some() {
            problems.add("over_calls", "cannot be combined with `over`");
        }
        if let Some(calls) = self.min_calls {
            problems.expect_some("min_calls", calls);
        }
        if let (Some(min), Some(all)) = (self.min_calls, self.over_calls)
            && min > all
        {
            let message = format!("must be at most `over_calls`, which is {all}");
            problems.add("min_calls", message);
        }
        if let Some(slow) = self.slow_calls {
            expect_rate(problems, "slow_calls.rate", slow.rate);
            problems.expect_time("slow_calls.threshold", slow.threshold);
        }
    }

    fn find_problems_of_life(&self, problems: &mut Problems) {
        problems.expect_time("open_for", self.open_for);
        if let Some(Growing { factor, max }) = self.growing {
            if !(factor >= 1.0 && factor.is_finite()) {
                problems.add(
                    "growing.factor",
                    format!("must be at least 1, not {factor}"),
                );
            }
            problems.expect_time("growing.max", max);
            if max < self.open_for {
                problems.add("growing.max", "must be at least `open_for`");
            }
        }
        problems.expect_some("probes", self.probes);
        if let Some(successes) = self.probe_successes {
            problems.expect_some("probe_successes", successes);
        }
        problems.expect_time("half_open_for", self.half_open_for);
        if self.name.as_deref().is_some_and(str::is_empty) {
            problems.add("name", "must not be empty");
        }
    }
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self {
            failure_rate: FAILURE_RATE,
            over: None,
            over_calls: None,
            slow_calls: None,
            min_calls: None,
            open_for: OPEN_FOR,
            growing: None,
            probes: PROBES,
            probe_successes: None,
            half_open_for: HALF_OPEN_FOR,
            name: None,
            when_open: WhenOpen::default(),
        }
    }
}

impl fmt::Display for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("circuit breaker")?;
        if let Some(name) = &self.name {
            write!(f, " {name:?}")?;
        }
        let rate = percent(self.failure_rate);
        write!(f, ", opens at {rate} % failed of {}", self.extent())?;
        if let Some(SlowCalls { rate, threshold }) = self.slow_calls {
            let threshold = format_duration(threshold);
            write!(f, ", or {} % slower than {threshold}", percent(rate))?;
        }
        write!(f, ", for {}", format_duration(self.open_for))?;
        if let Some(Growing { max, .. }) = self.growing {
            write!(f, " to {}", format_duration(max))?;
        }
        write!(f, ", {} probes, {}", self.probes, self.when_open)
    }
}

// === impl WhenOpen ===

impl fmt::Display for WhenOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wait => "waiting",
            Self::Reject => "rejecting",
        })
    }
}

// === impl Extent ===

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Time(time) => format_duration(time).fmt(f),
            Self::Calls(calls) => write!(f, "{calls} calls"),
        }
    }
}

/// Without what binary fractions add to it.
fn percent(rate: f64) -> f64 {
    (rate * 10_000.0).round() / 100.0
}

fn expect_rate(problems: &mut Problems, path: &str, rate: f64) {
    if !(rate > 0.0 && rate <= 1.0) {
        let message = format!("must be more than 0 and at most 1, not {rate}");
        problems.add(path, message);
    }
}
