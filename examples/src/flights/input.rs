//! Opens a file of comma-separated values, plain or gzip, and finds its columns.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use csv::ByteRecord;
use flate2::bufread::MultiGzDecoder;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Bytes taken out of the file at once: few enough that the progress is not a staircase.
const BUFFER: usize = 1 << 14;

/// An open file, decompressed on the way.
pub struct Input {
    /// Yields the plain bytes.
    pub reader: Box<dyn Read + Send>,
    /// Counts the bytes taken out of the file, before decompression.
    pub taken: BytesTaken,
    /// Length of the file in bytes; 0 where it has none, as a pipe.
    pub size: u64,
}

/// The rows of a table, after its header.
#[derive(Debug)]
pub struct Rows {
    reader: csv::Reader<Input>,
    header: ByteRecord,
    path: PathBuf,
    line: u64,
}

/// How many bytes were taken out of a file so far; clones share the count.
#[derive(Debug, Clone, Default)]
pub struct BytesTaken(Arc<AtomicU64>);

/// Columns that a table should have and has not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it has no column {}", names.join(", "))]
pub struct MissingColumns {
    /// The missing ones, in the order of the table's description.
    pub names: Vec<&'static str>,
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// The file cannot be opened.
    #[error("cannot open `{}`", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The path names a directory.
    #[error("`{}` is a directory, not a file", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
    },
    /// The file has not even a header.
    #[error("`{}` is empty: there is no header line", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The header lacks columns.
    #[error("`{}` is not the table expected", path.display())]
    Columns {
        /// The file.
        path: PathBuf,
        /// The columns it lacks.
        source: MissingColumns,
    },
    /// The file was opened and then could not be read, or not to its end.
    #[error("cannot read `{}` beyond line {line}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The last line that was read; 0 if there was none.
        line: u64,
        /// What the decompressor or the system says.
        source: csv::Error,
    },
}

/// Opens a file, and decompresses it if its first bytes say gzip, whatever its name.
///
/// # Errors
/// Fails if the file cannot be opened or is a directory.
pub fn open(path: &Path) -> Result<Input, InputError> {
    let failed = |source| InputError::Open {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        let path = path.to_owned();
        return Err(InputError::Directory { path });
    }
    let taken = BytesTaken::default();
    let reader = decompressed(Counted(file, taken.clone())).map_err(failed)?;
    Ok(Input {
        reader,
        taken,
        size: metadata.len(),
    })
}

/// Checks that the header has the named columns, in any order.
///
/// # Errors
/// Fails with all the names that are not there.
pub fn require(header: &ByteRecord, names: &[&'static str]) -> Result<(), MissingColumns> {
    let missing = names.iter().copied();
    let names: Vec<_> = missing
        .filter(|name| position(header, name).is_none())
        .collect();
    if names.is_empty() {
        Ok(())
    } else {
        Err(MissingColumns { names })
    }
}

/// Where each of the named columns is in the header.
///
/// # Errors
/// Fails with all the names that are not there.
pub fn locate<const N: usize>(
    header: &ByteRecord,
    names: &[&'static str; N],
) -> Result<[usize; N], MissingColumns> {
    let mut found = [0; N];
    for (at, name) in found.iter_mut().zip(names) {
        match position(header, name) {
            Some(position) => *at = position,
            None => require(header, names)?,
        }
    }
    Ok(found)
}

fn position(header: &ByteRecord, name: &str) -> Option<usize> {
    header.iter().position(|field| field == name.as_bytes())
}

/// A reader that counts.
struct Counted<R>(R, BytesTaken);

/// Looks at a whole buffer and not at two bytes: what reads it wants to see the start in one piece,
/// to know a byte order mark.
fn decompressed(mut file: Counted<File>) -> io::Result<Box<dyn Read + Send>> {
    let mut head = Vec::with_capacity(BUFFER);
    file.by_ref().take(BUFFER as u64).read_to_end(&mut head)?;
    let is_gzip = head.starts_with(&GZIP_MAGIC);
    let whole = BufReader::with_capacity(BUFFER, Cursor::new(head).chain(file));
    Ok(if is_gzip {
        Box::new(MultiGzDecoder::new(whole))
    } else {
        Box::new(whole)
    })
}

// === impl Input ===

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut input = f.debug_struct("Input");
        input.field("taken", &self.taken).field("size", &self.size);
        input.finish_non_exhaustive()
    }
}

impl Read for Input {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.reader.read(into)
    }
}

// === impl Rows ===

impl Rows {
    /// Opens a table and reads its header.
    ///
    /// # Errors
    /// Fails as [`open`] does, and if there is no header.
    pub fn open(path: &Path) -> Result<Self, InputError> {
        let reader = csv::ReaderBuilder::new()
            .has_headers(false)
            // A row of any length is a row, so that a broken one can be told from the end.
            .flexible(true)
            // By default a line that ends in CR LF ends after the CR, and the LF is counted late.
            .terminator(csv::Terminator::Any(b'\n'))
            .from_reader(open(path)?);
        let mut rows = Self {
            reader,
            header: ByteRecord::new(),
            path: path.to_owned(),
            line: 0,
        };
        let mut header = ByteRecord::new();
        if rows.next(&mut header)?.is_none() {
            return Err(InputError::Empty { path: rows.path });
        }
        rows.header = header;
        Ok(rows)
    }

    /// The names of the columns.
    pub fn header(&self) -> &ByteRecord {
        &self.header
    }

    /// Counts the bytes taken out of the file.
    pub fn taken(&self) -> BytesTaken {
        self.reader.get_ref().taken.clone()
    }

    /// Reads one row and returns the line it begins in, counted from 1; `None` at the end.
    ///
    /// # Errors
    /// Fails if the file cannot be read to its end. A row is whole or not there.
    pub fn next(&mut self, row: &mut ByteRecord) -> Result<Option<u64>, InputError> {
        loop {
            match self.reader.read_byte_record(row) {
                Ok(true) => self.line = line_of(row, &self.reader),
                Ok(false) => return Ok(None),
                Err(source) => return Err(self.failed(source)),
            }
            if !ends_in_cr(row) || !is_blank_without_cr(row) {
                return Ok(Some(self.line));
            }
        }
    }

    fn failed(&self, source: csv::Error) -> InputError {
        InputError::Read {
            path: self.path.clone(),
            line: self.line,
            source,
        }
    }
}

/// The position of a row is where the one before ended, blank lines not yet skipped.
fn line_of(row: &ByteRecord, reader: &csv::Reader<Input>) -> u64 {
    let start = row.position().map_or(0, csv::Position::line);
    let next = reader.position().line();
    if next <= start + 1 {
        return start;
    }
    let within = row.as_slice().iter().map(|byte| u64::from(*byte == b'\n'));
    start.max(next.saturating_sub(within.sum::<u64>() + 1))
}

fn ends_in_cr(row: &ByteRecord) -> bool {
    row.as_slice().ends_with(b"\r")
}

/// Takes the CR off the last field. Tells whether nothing is left of the row.
fn is_blank_without_cr(row: &mut ByteRecord) -> bool {
    let last = row.len().saturating_sub(1);
    let field = row.get(last).and_then(|field| field.strip_suffix(b"\r"));
    let field = field.unwrap_or_default().to_vec();
    row.truncate(last);
    row.push_field(&field);
    last == 0 && field.is_empty()
}

// === impl BytesTaken ===

impl BytesTaken {
    /// The count.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let taken = self.0.read(into)?;
        self.1.0.fetch_add(taken as u64, Ordering::Relaxed);
        Ok(taken)
    }
}

// === impl InputError ===

impl InputError {
    /// The file lacks columns.
    pub fn columns(path: &Path, source: MissingColumns) -> Self {
        Self::Columns {
            path: path.to_owned(),
            source,
        }
    }
}

#[cfg(test)]
mod tests;
