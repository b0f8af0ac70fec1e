//! Short text held inside the value, so that a row costs no allocation.

use std::fmt;
use std::str::FromStr;

use rusqlite::types::{ToSql, ToSqlOutput};
use serde::{Deserialize, Serialize};

/// A carrier, an airport or a tail number.
pub type Code = Text<15>;

/// A date with time of day, kept as it was written.
pub type Stamp = Text<31>;

/// UTF-8 text of at most `N` bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Text<const N: usize> {
    // Zero behind `len`, so that comparing the arrays compares the text.
    bytes: [u8; N],
    len: u8,
}

/// Why some bytes are no [`Text`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// There are more bytes than the type has room for.
    #[error("{len} bytes are too many, at most {max} fit")]
    TooLong {
        /// How many bytes there are.
        len: usize,
        /// How many would fit.
        max: usize,
    },
    /// The bytes are no text.
    #[error("it is not UTF-8")]
    Utf8(#[from] std::str::Utf8Error),
}

// === impl Text ===

impl<const N: usize> Text<N> {
    const FITS_ITS_LENGTH: () = assert!(N <= u8::MAX as usize);

    /// Copies the bytes.
    ///
    /// # Errors
    /// Fails if they are not UTF-8 or more than `N`.
    pub fn new(source: &[u8]) -> Result<Self, TextError> {
        let () = Self::FITS_ITS_LENGTH;
        std::str::from_utf8(source)?;
        let too_long = || TextError::TooLong {
            len: source.len(),
            max: N,
        };
        let mut bytes = [0; N];
        bytes
            .get_mut(..source.len())
            .ok_or_else(too_long)?
            .copy_from_slice(source);
        let len = u8::try_from(source.len()).map_err(|_| too_long())?;
        Ok(Self { bytes, len })
    }

    /// The bytes of the text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// The text.
    #[expect(
        clippy::missing_panics_doc,
        reason = "`new` lets nothing through that would panic"
    )]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("`new` accepts nothing but UTF-8")
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        let bytes = [0; N];
        Self { bytes, len: 0 }
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<const N: usize> TryFrom<String> for Text<N> {
    type Error = TextError;

    fn try_from(text: String) -> Result<Self, TextError> {
        Self::new(text.as_bytes())
    }
}

impl<const N: usize> FromStr for Text<N> {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        Self::new(text.as_bytes())
    }
}

impl<const N: usize> Serialize for Text<N> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<const N: usize> ToSql for Text<N> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_str().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_out_as_it_went_in() {
        for text in ["", "EWR", "N14228", "exactly15 bytes", "Zürich"] {
            assert_eq!(Code::new(text.as_bytes()).unwrap().as_str(), text);
        }
    }

    #[test]
    fn text_orders_like_the_strings_it_holds() {
        let texts = ["", "A", "AB", "B", "ÄÄ", "Z"];
        for a in texts {
            for b in texts {
                let (x, y) = (Code::new(a.as_bytes()), Code::new(b.as_bytes()));
                assert_eq!(x.unwrap().cmp(&y.unwrap()), a.cmp(b), "{a:?} and {b:?}");
            }
        }
    }

    #[test]
    fn one_byte_too_many_is_refused_with_both_numbers() {
        let error = Code::new(b"exactly 16 bytes").unwrap_err();
        assert_eq!(error, TextError::TooLong { len: 16, max: 15 });
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        assert!(matches!(Code::new(b"E\xffR"), Err(TextError::Utf8(_))));
    }
}
