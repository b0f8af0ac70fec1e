//! Rows that were refused, one line of JSON each, with nothing of them lost.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use csv::ByteRecord;
use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Serialize, Serializer};

/// A row that was refused.
#[derive(Debug, Clone, Serialize)]
pub struct DeadLetter<'a> {
    /// The line of the file, counted from 1 and with the header.
    pub line: Option<u64>,
    /// Name of the stage that refused it.
    pub stage: &'a str,
    /// Why, with the causes behind it.
    pub cause: String,
    /// How often it was tried.
    pub attempts: u32,
    /// The row as it was read, if it is known.
    pub original: Option<Original<'a>>,
}

/// The row as it was read: an object by column where it is as long as the header, else a list.
///
/// A field that is no text is an object of its bytes, `{"bytes":[85,255]}`.
#[derive(Debug, Clone, Copy)]
pub struct Original<'a> {
    /// The names of the columns.
    pub header: &'a ByteRecord,
    /// The fields.
    pub row: &'a ByteRecord,
}

/// The file of dead letters.
#[derive(Debug)]
pub struct DeadLetters {
    file: BufWriter<File>,
    path: PathBuf,
}

/// Why the file of dead letters cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write dead letters to `{}`", path.display())]
pub struct DeadLetterError {
    /// The file.
    pub path: PathBuf,
    /// What the system says.
    pub source: io::Error,
}

/// A field that may be no text.
struct Field<'a>(&'a [u8]);

// === impl DeadLetters ===

impl DeadLetters {
    /// Makes the file, in the place of an older one.
    ///
    /// # Errors
    /// Fails if it cannot be made.
    pub fn create(path: &Path) -> Result<Self, DeadLetterError> {
        let path = path.to_owned();
        match File::create(&path) {
            Ok(file) => Ok(Self {
                file: BufWriter::new(file),
                path,
            }),
            Err(source) => Err(DeadLetterError { path, source }),
        }
    }

    /// Writes one line, which is in the file after the next [`flush`](Self::flush).
    ///
    /// # Errors
    /// Fails if it cannot be written.
    pub fn write(&mut self, letter: &DeadLetter<'_>) -> Result<(), DeadLetterError> {
        let written = serde_json::to_writer(&mut self.file, letter).map_err(io::Error::from);
        let written = written.and_then(|()| self.file.write_all(b"\n"));
        written.map_err(|source| self.failed(source))
    }

    /// Hands what was written to the system.
    ///
    /// # Errors
    /// Fails if it cannot be written.
    pub fn flush(&mut self) -> Result<(), DeadLetterError> {
        self.file.flush().map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> DeadLetterError {
        let path = self.path.clone();
        DeadLetterError { path, source }
    }
}

// === impl Original ===

impl Serialize for Original<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.row.len() != self.header.len() {
            return serializer.collect_seq(self.row.iter().map(Field));
        }
        let mut columns = serializer.serialize_map(Some(self.row.len()))?;
        for (name, field) in self.header.iter().zip(self.row) {
            columns.serialize_entry(&String::from_utf8_lossy(name), &Field(field))?;
        }
        columns.end()
    }
}

impl Serialize for Field<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Ok(text) = std::str::from_utf8(self.0) {
            return serializer.serialize_str(text);
        }
        let mut field = serializer.serialize_struct("Field", 1)?;
        field.serialize_field("bytes", self.0)?;
        field.end()
    }
}

#[cfg(test)]
mod tests;
