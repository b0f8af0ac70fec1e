//! Files of comma-separated values, by row.

mod reader;
mod row;
mod tap;

use std::{fmt, num::NonZeroUsize, path::Path, sync::Arc};

use towpath_core::{BoxError, Delivery, Intake, Origin, Producer, Received, Unacknowledged};

use reader::{RowReader, Rows};
pub use row::{CsvRow, RowError};
pub use tap::RowTooLong;

use crate::{
    blocks::{Blocks, opened},
    open_file::{FileProgress, OpenError},
};

/// Hands out a file of comma-separated values row by row; gzip is recognised by its
/// first bytes.
///
/// The first row names the columns. Every other one becomes a [`CsvRow`], whatever is
/// wrong with it: a row with too few or too many fields, or with bytes that are no text,
/// is for the decoder to refuse, and so becomes a dead letter with its line number. The
/// position of a message is the line on which its row begins, from 1.
///
/// The file is read on the blocking pool, a block of up to 512 rows and 64 KiB at a
/// time, and one block ahead; a row that is kept keeps its block. A pipe is handed out
/// row by row. Empty lines are no rows, and a byte order mark is left out.
///
/// # Errors
/// `open` fails with [`OpenError`], also for a file without a header
/// and for one that lacks [required columns](Self::require_columns). `receive` fails
/// with [`ReadError`](crate::ReadError) in a [`Permanent`](towpath_core::Permanent), when
/// the rows before it are out: for a truncated or corrupt file, and for a row that is
/// [too long](Self::max_row).
///
/// ```
/// use towpath_producer::{Csv, CsvRow};
///
/// #[derive(serde::Deserialize)]
/// struct Flight { origin: String, dest: String }
///
/// let flights = Csv::new("flights.csv.gz").require_columns(["origin", "dest"]);
/// let decoder = CsvRow::deserialize::<Flight>; // for `decode`
/// # let _ = (flights, decoder);
/// ```
#[must_use]
pub struct Csv {
    options: Options,
    rows: Option<Blocks<RowReader, Rows>>,
}

#[derive(Clone)]
pub(crate) struct Options {
    path: Arc<Path>,
    delimiter: u8,
    required: Vec<String>,
    max_row: usize,
    progress: FileProgress,
}

/// The longest row in bytes, unless said otherwise.
const MAX_ROW: usize = 1024 * 1024;

impl Csv {
    /// The rows of the file at `path`, which is opened when the pipeline starts.
    pub fn new(path: impl AsRef<Path>) -> Self {
        let options = Options {
            path: path.as_ref().into(),
            delimiter: b',',
            required: Vec::new(),
            max_row: MAX_ROW,
            progress: FileProgress::default(),
        };
        Self {
            options,
            rows: None,
        }
    }

    /// What stands between two fields; a comma unless said otherwise.
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.options.delimiter = delimiter;
        self
    }

    /// Fails to open a file that lacks one of these columns; the error names all it lacks.
    pub fn require_columns<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.options.required.extend(names.into_iter().map(N::into));
        self
    }

    /// Fails to read a file on which a row has more than about `bytes`; 1 MiB unless said
    /// otherwise.
    ///
    /// A quote that is never closed makes a row of all the rest of the file.
    pub fn max_row(mut self, bytes: NonZeroUsize) -> Self {
        self.options.max_row = bytes.get();
        self
    }

    /// How far the file has been read.
    pub fn progress(&self) -> FileProgress {
        self.options.progress.clone()
    }

    async fn opened(&mut self) -> Result<&mut Blocks<RowReader, Rows>, BoxError> {
        let rows = match self.rows.take() {
            Some(rows) => rows,
            None => Blocks::new(opened(self.opening()).await?),
        };
        Ok(self.rows.insert(rows))
    }

    fn opening(&self) -> impl FnOnce() -> Result<RowReader, OpenError> + Send + use<> {
        let options = self.options.clone();
        move || RowReader::open(&options)
    }
}

impl Producer for Csv {
    type Payload = CsvRow;
    type Acknowledger = Unacknowledged;

    async fn open(&mut self) -> Result<(), BoxError> {
        self.opened().await.map(drop)
    }

    async fn receive(&mut self, intake: &mut Intake<CsvRow, ()>) -> Result<Received, BoxError> {
        let deliver = |row: CsvRow| {
            let origin = Origin::default().at(row.line());
            Delivery::new(row, ()).with_origin(origin)
        };
        self.opened().await?.receive(intake, deliver).await
    }
}

impl fmt::Debug for Csv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Csv")
            .field("path", &self.options.path)
            .field("progress", &self.options.progress)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
