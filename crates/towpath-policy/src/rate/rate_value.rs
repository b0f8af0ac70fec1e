//! A rate: so many in so long, in words or in numbers.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// So many in so long: `500/s`, `30000/m`, `10/h`, `100 per 250ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    count: u32,
    period: Duration,
}

/// What is wrong with a rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRate {
    /// It would never admit anything.
    #[error("the rate is zero")]
    Zero,
    /// It would admit everything at once.
    #[error("the period of the rate is zero")]
    NoPeriod,
    /// The period is longer than a year.
    #[error("the period of the rate is {period:?}, longer than a year")]
    TooLong {
        /// The period.
        period: Duration,
    },
    /// The rate is above a thousand million per second.
    #[error("the rate is above 1000000000 per second, which limits nothing")]
    TooFast,
    /// The words are not those of a rate.
    #[error("`{words}` is no rate; a rate is written 500/s, 30000/m or 100 per 250ms")]
    NotARate {
        /// The words.
        words: String,
    },
    /// The count is not a whole number that fits 32 bits.
    #[error("the count `{count}` of the rate is not a whole number up to 4294967295")]
    Count {
        /// The count in words.
        count: String,
    },
    /// The period is not a duration.
    #[error("the period `{period}` of the rate is not a duration such as s, m, h or 250ms")]
    Period {
        /// The period in words.
        period: String,
    },
}

const SECOND: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);
const FASTEST_PER_SECOND: u128 = 1_000_000_000;

/// Periods that are printed as a word.
const NAMED: [(u64, &str); 4] = [(1, "s"), (60, "m"), (3_600, "h"), (86_400, "d")];

// === impl Rate ===

impl Rate {
    /// So many in so long. Whether that makes sense is said by [`Rate::check`].
    pub const fn new(count: u32, period: Duration) -> Self {
        Self { count, period }
    }

    /// So many in a second.
    pub const fn per_second(count: u32) -> Self {
        Self::new(count, SECOND)
    }

    /// How many.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// In how long.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// Checks that the rate is neither zero nor endless.
    ///
    /// # Errors
    /// Says what is wrong: a count or a period of zero, a period of more than a year,
    /// more than a thousand million per second.
    pub fn check(&self) -> Result<(), InvalidRate> {
        let period = self.period;
        let endless =
            u128::from(self.count) * SECOND.as_nanos() > FASTEST_PER_SECOND * period.as_nanos();
        match self.count {
            0 => Err(InvalidRate::Zero),
            _ if period.is_zero() => Err(InvalidRate::NoPeriod),
            _ if period > LONGEST => Err(InvalidRate::TooLong { period }),
            _ if endless => Err(InvalidRate::TooFast),
            _ => Ok(()),
        }
    }

    /// What comes in `time`, rounded.
    pub(super) fn in_time(self, time: Duration) -> u32 {
        let period = self.period.as_nanos().max(1);
        let count = u128::from(self.count) * time.as_nanos();
        u32::try_from((count + period / 2) / period).unwrap_or(u32::MAX)
    }
}

impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(words: &str) -> Result<Self, InvalidRate> {
        let (count, period) = words
            .split_once('/')
            .or_else(|| words.split_once(" per "))
            .ok_or_else(|| InvalidRate::NotARate {
                words: words.to_owned(),
            })?;
        let rate = Self::new(parse_count(count.trim())?, parse_period(period.trim())?);
        rate.check().map(|()| rate)
    }
}

fn parse_count(words: &str) -> Result<u32, InvalidRate> {
    words.parse().map_err(|_| InvalidRate::Count {
        count: words.to_owned(),
    })
}

/// A period is a duration, or a unit of time alone.
fn parse_period(words: &str) -> Result<Duration, InvalidRate> {
    let alone = words.starts_with(|first: char| first.is_alphabetic());
    let one = if alone { "1" } else { "" };
    humantime::parse_duration(&format!("{one}{words}")).map_err(|_| InvalidRate::Period {
        period: words.to_owned(),
    })
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.count;
        for (seconds, word) in NAMED {
            if self.period == Duration::from_secs(seconds) {
                return write!(f, "{count}/{word}");
            }
        }
        let period = humantime::format_duration(self.period);
        write!(f, "{count} per {period}")
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Words)
    }
}

struct Words;

impl de::Visitor<'_> for Words {
    type Value = Rate;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a rate such as 500/s")
    }

    fn visit_str<E: de::Error>(self, words: &str) -> Result<Rate, E> {
        words.parse().map_err(E::custom)
    }
}
