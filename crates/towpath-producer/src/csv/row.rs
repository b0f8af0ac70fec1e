//! One row of a file.

use std::{fmt, sync::Arc};

use csv::{ByteRecord, Position};
use serde::{de::DeserializeOwned, ser::SerializeMap};

/// One row of a file, with the names of its columns. Cloning shares it.
///
/// Serialises as a map from column to text; what is no UTF-8 is shown as U+FFFD, and
/// fields beyond the header are named by their number, from 1.
#[derive(Clone)]
pub struct CsvRow {
    block: Arc<Block>,
    index: usize,
}

/// Rows that are read together, and live and die together.
pub(super) struct Block {
    pub(super) headers: Arc<ByteRecord>,
    /// Kept when the block is used again: so a row allocates nothing.
    pub(super) records: Vec<ByteRecord>,
    /// How many of the records are rows of the block.
    pub(super) len: usize,
}

/// A row that does not fit what it should become.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RowError {
    /// The row has more or fewer fields than the header.
    #[error("the row on line {line} has {found} fields, the header has {expected}")]
    Fields {
        /// The line on which the row begins.
        line: u64,
        /// How many fields the header has.
        expected: usize,
        /// How many fields the row has.
        found: usize,
    },
    /// A field is not what is expected there.
    #[error("the row on line {line} is not what is expected")]
    Decode {
        /// The line on which the row begins.
        line: u64,
        /// What is wrong with which field.
        source: csv::Error,
    },
}

impl CsvRow {
    /// A row of its own, for tests; its line is that of `record`, or 0.
    pub fn new(headers: ByteRecord, record: ByteRecord) -> Self {
        let block = Block {
            headers: Arc::new(headers),
            records: vec![record],
            len: 1,
        };
        Self::of(Arc::new(block), 0)
    }

    pub(super) fn of(block: Arc<Block>, index: usize) -> Self {
        Self { block, index }
    }

    /// The line on which the row begins, from 1.
    pub fn line(&self) -> u64 {
        self.record().position().map_or(0, Position::line)
    }

    /// The field in the first column of that name; `None` if the row does not reach it.
    pub fn get(&self, column: &str) -> Option<&[u8]> {
        let is_it = |name: &[u8]| name == column.as_bytes();
        self.field(self.headers().iter().position(is_it)?)
    }

    /// A field by its number, from 0; `None` if the row has fewer.
    pub fn field(&self, index: usize) -> Option<&[u8]> {
        self.record().get(index)
    }

    /// All fields, in order.
    pub fn record(&self) -> &ByteRecord {
        &self.block.records[self.index]
    }

    /// The names of the columns, in order.
    pub fn headers(&self) -> &ByteRecord {
        &self.block.headers
    }

    /// Decodes the row, by the names of the columns.
    ///
    /// # Errors
    /// Fails for a row with more or fewer fields than the header, and for fields that are
    /// no UTF-8 or not what `T` expects.
    pub fn deserialize<T: DeserializeOwned>(&self) -> Result<T, RowError> {
        let (line, found) = (self.line(), self.record().len());
        let expected = self.headers().len();
        if found != expected {
            return Err(RowError::Fields {
                line,
                expected,
                found,
            });
        }
        let decoded = self.record().deserialize(Some(self.headers()));
        decoded.map_err(|source| RowError::Decode { line, source })
    }
}

impl serde::Serialize for CsvRow {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.record().len()))?;
        for (index, field) in self.record().iter().enumerate() {
            let text = String::from_utf8_lossy(field);
            match self.headers().get(index) {
                Some(name) => map.serialize_entry(&String::from_utf8_lossy(name), &text)?,
                None => map.serialize_entry(&(index + 1), &text)?,
            }
        }
        map.end()
    }
}

impl fmt::Debug for CsvRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CsvRow({}: ", self.line())?;
        let text = |field| String::from_utf8_lossy(field);
        f.debug_list()
            .entries(self.record().iter().map(text))
            .finish()?;
        f.write_str(")")
    }
}
