//! One line of a file.

use std::{fmt, str::Utf8Error};

use bytes::Bytes;

/// One line of a file, without its end. Cloning shares the bytes.
///
/// Serialises as text; what is no UTF-8 is shown as U+FFFD.
#[derive(Clone, PartialEq, Eq)]
pub struct Line {
    number: u64,
    text: Bytes,
    cut: bool,
}

/// A line that is no text, or not all of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// The line is longer than what is read of a line.
    #[error("line {line} is longer than {limit} bytes")]
    TooLong {
        /// The number of the line.
        line: u64,
        /// How many bytes of it were read.
        limit: usize,
    },
    /// The line is no UTF-8.
    #[error("line {line} is no UTF-8 text")]
    NoText {
        /// The number of the line.
        line: u64,
        /// Where it is not.
        source: Utf8Error,
    },
}

impl Line {
    /// A line; the first of a file has the number 1.
    pub fn new(number: u64, text: impl Into<Bytes>) -> Self {
        Self {
            number,
            text: text.into(),
            cut: false,
        }
    }

    pub(super) fn cut(mut self, cut: bool) -> Self {
        self.cut = cut;
        self
    }

    /// The number of the line in its file, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The line as text.
    ///
    /// # Errors
    /// Fails for a line that is no UTF-8, or was cut.
    pub fn as_str(&self) -> Result<&str, LineError> {
        let text = str::from_utf8(self.bytes()?);
        text.map_err(|source| LineError::NoText {
            line: self.number,
            source,
        })
    }

    /// The bytes of the line.
    ///
    /// # Errors
    /// Fails for a line that was cut.
    pub fn bytes(&self) -> Result<&Bytes, LineError> {
        if self.cut {
            let (line, limit) = (self.number, self.text.len());
            return Err(LineError::TooLong { line, limit });
        }
        Ok(&self.text)
    }

    /// What was read of the line, cut or not.
    pub fn raw(&self) -> &Bytes {
        &self.text
    }

    /// Whether the line was longer than what is read of a line.
    pub fn is_cut(&self) -> bool {
        self.cut
    }
}

impl serde::Serialize for Line {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&String::from_utf8_lossy(&self.text))
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(&self.text);
        write!(f, "Line({}: {text:?})", self.number)
    }
}
