//! The options of a retry as they are written.

use std::{fmt, time::Duration};

use serde::{
    Deserialize, Deserializer,
    de::{Error, Unexpected, Visitor},
};

use super::{Jitter, Retry, Schedule};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    exponential: Option<Exponential>,
    #[serde(default, with = "towpath_options::duration::option")]
    fixed: Option<Duration>,
    attempts: Option<u32>,
    jitter: Option<Jitter>,
    seed: Option<u64>,
    #[serde(default, with = "towpath_options::duration::option")]
    deadline: Option<Duration>,
    budget: Option<f64>,
    budget_at_least: Option<PerSecond>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exponential {
    #[serde(with = "towpath_options::duration")]
    base: Duration,
    #[serde(with = "towpath_options::duration")]
    cap: Duration,
}

/// So many per second: `"10/s"`, or the number alone.
struct PerSecond(u32);

/// Both `exponential` and `fixed` are given.
#[derive(Debug, thiserror::Error)]
#[error("`exponential` and `fixed` exclude each other")]
pub(super) struct TwoSchedules;

// === impl Written ===

impl Written {
    fn schedule(&self) -> Result<Schedule, TwoSchedules> {
        match (&self.exponential, self.fixed) {
            (&Some(_), Some(_)) => Err(TwoSchedules),
            (&Some(Exponential { base, cap }), None) => Ok(Schedule::Exponential { base, cap }),
            (&None, Some(delay)) => Ok(Schedule::Fixed(delay)),
            (&None, None) => Ok(Schedule::default()),
        }
    }
}

impl TryFrom<Written> for Retry {
    type Error = TwoSchedules;

    fn try_from(written: Written) -> Result<Self, TwoSchedules> {
        let mut retry = Self::on(written.schedule()?);
        retry.attempts = written.attempts.unwrap_or(retry.attempts);
        retry.jitter = written.jitter;
        retry.seed = written.seed;
        retry.deadline = written.deadline;
        retry.terms.ratio = written.budget.unwrap_or(retry.terms.ratio);
        if let Some(PerSecond(at_least)) = written.budget_at_least {
            retry.terms.at_least = at_least;
        }
        Ok(retry)
    }
}

// === impl PerSecond ===

impl<'de> Deserialize<'de> for PerSecond {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Words)
    }
}

struct Words;

impl Visitor<'_> for Words {
    type Value = PerSecond;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a rate per second such as \"10/s\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<PerSecond, E> {
        let count = text.trim().strip_suffix("/s");
        let count = count.and_then(|count| count.trim().parse().ok());
        let unexpected = || E::invalid_value(Unexpected::Str(text), &self);
        count.map(PerSecond).ok_or_else(unexpected)
    }

    fn visit_u64<E: Error>(self, count: u64) -> Result<PerSecond, E> {
        let unexpected = |_| E::invalid_value(Unexpected::Unsigned(count), &self);
        count.try_into().map(PerSecond).map_err(unexpected)
    }

    fn visit_i64<E: Error>(self, count: i64) -> Result<PerSecond, E> {
        let unexpected = |_| E::invalid_value(Unexpected::Signed(count), &self);
        count.try_into().map(PerSecond).map_err(unexpected)
    }
}
