//! Durations in words, such as `"200ms"` or `"1m 30s"`, for `#[serde(with = "...")]`.

use std::{fmt, time::Duration};

use serde::{
    Deserializer,
    de::{Error, Visitor},
};

/// Reads a duration in words.
///
/// # Errors
/// Fails when the text is no duration, or one that is too long to hold.
pub fn parse(text: &str) -> Result<Duration, NoDuration> {
    humantime::parse_duration(text.trim()).map_err(|cause| NoDuration {
        text: text.to_owned(),
        cause,
    })
}

/// A text is no duration.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is no duration such as \"200ms\" or \"1m 30s\": {cause}")]
pub struct NoDuration {
    text: String,
    cause: humantime::DurationError,
}

/// Reads a duration in words from any format.
///
/// # Errors
/// Fails when the value is no duration.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    from.deserialize_str(Words)
}

struct Words;

impl Visitor<'_> for Words {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as \"200ms\" or \"1m 30s\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
        parse(text).map_err(E::custom)
    }
}

/// A duration that may be absent or null; also wants `#[serde(default)]` on its field.
pub mod option {
    use std::{fmt, time::Duration};

    use serde::{
        Deserializer,
        de::{Error, Visitor},
    };

    /// Reads a duration in words, or none.
    ///
    /// # Errors
    /// Fails when there is a value that is no duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        from.deserialize_option(Maybe)
    }

    struct Maybe;

    impl<'de> Visitor<'de> for Maybe {
        type Value = Option<Duration>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a duration such as \"200ms\", or nothing")
        }

        fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
            super::deserialize(from).map(Some)
        }
    }
}
