//! Timeout: how long one attempt may take.

use std::{fmt, time::Duration};

use serde::Deserialize;

use towpath_options::Problems;

/// How long one attempt may take; in options a duration in words, such as `"2s"`.
///
/// An attempt that takes longer is dropped and fails with [`TimedOut`](crate::TimedOut), which
/// counts as a failure of the backend and is worth another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[must_use]
pub struct Timeout(#[serde(with = "towpath_options::duration")] Duration);

// === impl Timeout ===

impl Timeout {
    /// Ends an attempt after `limit`.
    pub fn after(limit: Duration) -> Self {
        Self(limit)
    }

    pub(crate) fn limit(self) -> Duration {
        self.0
    }

    pub(crate) fn problems(self, problems: &mut Problems) {
        problems.expect_time("", self.0);
    }
}

impl From<Duration> for Timeout {
    fn from(limit: Duration) -> Self {
        Self::after(limit)
    }
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", humantime::format_duration(self.0))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Timeout;
    use crate::{Problems, read_options};

    fn read(json: &str) -> Result<Timeout, crate::InvalidOptions> {
        read_options(&mut serde_json::Deserializer::from_str(json))
    }

    #[test]
    fn a_timeout_is_written_as_a_duration() {
        assert_eq!(read(r#""2s""#), Ok(Timeout::after(Duration::from_secs(2))));
        assert!(read("2").is_err());
    }

    #[test]
    fn a_timeout_of_nothing_or_of_ages_is_a_problem() {
        for bad in [Duration::ZERO, Duration::MAX] {
            let mut problems = Problems::new();
            problems.within("timeout", |problems| Timeout::after(bad).problems(problems));
            let error = problems.into_result().unwrap_err();
            assert_eq!(error.problems()[0].path, "timeout");
        }
    }
}
