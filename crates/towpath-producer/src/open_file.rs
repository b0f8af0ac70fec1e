//! Opens a file, plain or gzip, and counts what is read of it.

use std::{
    error::Error,
    fmt,
    fs::File,
    io::{self, BufRead, BufReader, Cursor, ErrorKind, Read},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use flate2::bufread::MultiGzDecoder;

/// How far a file has been read, for a progress display. Clones share the count.
///
/// Counts the bytes of the file itself, compressed ones where it is compressed. The
/// count runs ahead of the messages by what is read ahead.
#[derive(Clone, Debug, Default)]
pub struct FileProgress(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    read: AtomicU64,
    /// 0 where it is not known.
    total: AtomicU64,
}

/// Why a file cannot be opened as a source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no such file.
    #[error("{} does not exist", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The path names a directory.
    #[error("{} is a directory, not a file", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
    },
    /// The file, or its beginning, cannot be read.
    #[error("{} cannot be opened", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system or the decompressor says.
        source: io::Error,
    },
    /// The file should have a header row, and has no row at all.
    #[error("{} is empty: it has no header row", path.display())]
    NoHeader {
        /// The file.
        path: PathBuf,
    },
    /// The header row lacks columns that are required.
    #[error("{} has no column {}", path.display(), columns.join(", "))]
    MissingColumns {
        /// The file.
        path: PathBuf,
        /// All the columns it lacks, in the order they were required.
        columns: Vec<String>,
    },
}

/// A file that was opened and cannot be read to its end: it is truncated or corrupt, or
/// the device failed.
///
/// What comes before [`line`](Self::line) was handed out. It is for good: the source
/// wraps it in [`Permanent`](towpath_core::Permanent).
#[derive(Clone, Debug)]
pub struct ReadError {
    path: Arc<Path>,
    line: u64,
    source: Arc<io::Error>,
}

/// An open file, decompressed on the way.
pub(crate) struct Input {
    /// The plain bytes.
    pub(crate) bytes: Box<dyn Read + Send>,
    /// How many lines or rows to read at a time.
    pub(crate) block: usize,
}

/// Lines or rows of a regular file that are read at a time.
const BLOCK: usize = 512;
/// Bytes taken out of a file at a time: few enough that the progress is no staircase.
const BUFFER: usize = 16 * 1024;
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];

// === impl FileProgress ===

impl FileProgress {
    /// How many bytes of the file were read.
    pub fn read(&self) -> u64 {
        self.0.read.load(Relaxed)
    }

    /// How many bytes the file has; `None` before it is opened, and for a pipe.
    pub fn total(&self) -> Option<u64> {
        Some(self.0.total.load(Relaxed)).filter(|total| *total > 0)
    }
}

// === impl ReadError ===

impl ReadError {
    pub(crate) fn new(path: Arc<Path>, line: u64, source: io::Error) -> Self {
        Self {
            path,
            line,
            source: Arc::new(source),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The first line that could not be read whole, from 1.
    pub fn line(&self) -> u64 {
        self.line
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, line) = (self.path.display(), self.line);
        write!(f, "{path} cannot be read from line {line} on")
    }
}

impl Error for ReadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

// === impl OpenError ===

impl OpenError {
    pub(crate) fn from_io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            ErrorKind::NotFound => Self::Missing { path, source },
            ErrorKind::IsADirectory => Self::Directory { path },
            _ => Self::Unreadable { path, source },
        }
    }
}

// === impl Input ===

impl Input {
    /// Opens a file, and decompresses it if its first bytes say gzip, whatever its name.
    pub(crate) fn open(path: &Path, progress: &FileProgress) -> Result<Self, OpenError> {
        Self::try_open(path, progress).map_err(|error| OpenError::from_io(path, error))
    }

    fn try_open(path: &Path, progress: &FileProgress) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(ErrorKind::IsADirectory.into());
        }
        progress.0.read.store(0, Relaxed);
        progress.0.total.store(metadata.len(), Relaxed);
        Ok(Self {
            bytes: decompressed(Counted(file, progress.clone()))?,
            // What comes out of a pipe may be slow: it is handed on as it comes.
            block: if metadata.is_file() { BLOCK } else { 1 },
        })
    }

    pub(crate) fn buffered(self, bytes: usize) -> Box<dyn BufRead + Send> {
        Box::new(BufReader::with_capacity(bytes, self.bytes))
    }
}

fn decompressed(mut file: Counted) -> io::Result<Box<dyn Read + Send>> {
    let mut head = Vec::new();
    file.by_ref()
        .take(GZIP_MAGIC.len() as u64)
        .read_to_end(&mut head)?;
    let is_gzip = head == GZIP_MAGIC;
    let whole = Cursor::new(head).chain(file);
    if !is_gzip {
        return Ok(Box::new(whole));
    }
    let whole = BufReader::with_capacity(BUFFER, whole);
    Ok(Box::new(MultiGzDecoder::new(whole)))
}

/// Counts what is read of a file.
struct Counted(File, FileProgress);

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        self.1.0.read.fetch_add(count as u64, Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
