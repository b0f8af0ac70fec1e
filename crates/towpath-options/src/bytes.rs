//! Sizes in words, such as `"4MiB"` or `"64 KB"`, for `#[serde(with = "...")]`.

use std::fmt;

use serde::{
    Deserializer,
    de::{Error, Visitor},
};

/// What the units stand for, in bytes; the longer names first.
const UNITS: [(&str, u64); 7] = [
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("b", 1),
];

/// Reads a size in words: a whole number and its unit.
///
/// # Errors
/// Fails when the text is no size, or one that is too large to hold.
pub fn parse(text: &str) -> Result<u64, NoSize> {
    let no_size = || NoSize {
        text: text.to_owned(),
    };
    let lower = text.trim().to_ascii_lowercase();
    let named = UNITS.iter().find_map(|(name, unit)| {
        let number = lower.strip_suffix(name)?;
        Some((number.trim_end().to_owned(), *unit))
    });
    let (number, unit) = named.ok_or_else(no_size)?;
    let number: u64 = number.parse().map_err(|_| no_size())?;
    number.checked_mul(unit).ok_or_else(no_size)
}

/// A text is no size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no size such as \"64KiB\" or \"4MB\"")]
pub struct NoSize {
    text: String,
}

/// Reads a size in words from any format.
///
/// # Errors
/// Fails when the value is no size.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    from.deserialize_str(Words)
}

struct Words;

impl Visitor<'_> for Words {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size such as \"64KiB\" or \"4MB\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
        parse(text).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_words() {
        let read = ["0b", "1 KiB", "4MiB", "2gib", "64kb", "3 MB", " 1GB "].map(parse);
        let sizes = [
            0,
            1 << 10,
            4 << 20,
            2 << 30,
            64_000,
            3_000_000,
            1_000_000_000,
        ];
        assert_eq!(read, sizes.map(Ok));
    }

    #[test]
    fn what_is_no_size_is_named() {
        for bad in [
            "",
            "4",
            "MiB",
            "-1KB",
            "1.5MB",
            "4 parsecs",
            "99999999999999999999GB",
        ] {
            let error = parse(bad).unwrap_err();
            assert!(error.to_string().contains(&format!("{bad:?}")), "{error}");
        }
    }
}
