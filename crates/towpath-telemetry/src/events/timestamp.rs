//! Moments of the wall clock, in milliseconds.

#![expect(
    clippy::disallowed_types,
    reason = "an event is looked up by the time that people read on a clock"
)]

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The last moment that can be written with a year of four digits.
const LAST: u64 = 253_402_300_799_999;

/// A moment of the wall clock, in whole milliseconds since 1970.
///
/// It is written, and read, as `2026-03-01T12:30:00.250Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

/// A text that is no [`Timestamp`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no time as in 2026-03-01T12:30:00Z")]
#[non_exhaustive]
pub struct TimestampError {
    /// The text.
    pub text: String,
}

// === impl Timestamp ===

impl Timestamp {
    /// This moment.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self::from_millis(millis(since.unwrap_or_default()))
    }

    /// So many milliseconds after the beginning of 1970; at most the end of the year 9999.
    pub fn from_millis(millis: u64) -> Self {
        Self(millis.min(LAST))
    }

    /// The milliseconds since the beginning of 1970.
    pub fn as_millis(self) -> u64 {
        self.0
    }

    /// The moment that was so long before this one, no earlier than 1970.
    #[must_use]
    pub fn before(self, ago: Duration) -> Self {
        Self(self.0.saturating_sub(millis(ago)))
    }

    /// How long before this moment `earlier` was; nothing if it was later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = UNIX_EPOCH + Duration::from_millis(self.0);
        humantime::format_rfc3339_millis(time).fmt(f)
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let time = humantime::parse_rfc3339(text).ok();
        let since = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let since = since.ok_or_else(|| TimestampError { text: text.into() })?;
        Ok(Self::from_millis(millis(since)))
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    //! How moments are written and read.

    use super::*;

    #[test]
    fn a_moment_is_read_back_as_it_was_written() {
        for millis in [0, 1, 1_772_368_200_250, LAST] {
            let moment = Timestamp::from_millis(millis);
            assert_eq!(moment.to_string().parse(), Ok(moment));
        }
        let moment = Timestamp::from_millis(1_772_368_200_250);
        assert_eq!(moment.to_string(), "2026-03-01T12:30:00.250Z");
        assert_eq!(Timestamp::from_millis(u64::MAX).as_millis(), LAST);
    }

    #[test]
    fn a_text_that_is_no_moment_is_named() {
        for text in [
            "",
            "yesterday",
            "2026-13-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
        ] {
            let error = text.parse::<Timestamp>().unwrap_err();
            assert_eq!(error.text, text);
        }
    }

    #[test]
    fn moments_before_the_first_one_are_the_first_one() {
        let early = Timestamp::from_millis(10);
        assert_eq!(early.before(Duration::MAX).as_millis(), 0);
        assert_eq!(early.since(Timestamp::now()), Duration::ZERO);
        assert!(Timestamp::now() > early);
    }
}
