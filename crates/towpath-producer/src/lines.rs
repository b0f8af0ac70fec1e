//! Files by line.

mod line;
mod reader;

use std::{fmt, num::NonZeroUsize, path::Path, sync::Arc};

use towpath_core::{BoxError, Delivery, Intake, Origin, Producer, Received, Unacknowledged};

pub use line::{Line, LineError};
use reader::LineReader;

use crate::{
    blocks::{Blocks, opened},
    open_file::{FileProgress, Input, OpenError},
};

/// Hands out a file line by line; gzip is recognised by its first bytes.
///
/// The payload is a [`Line`], its position the number of the line, from 1. A line ends
/// with `\n` or `\r\n`, which is not part of it; the last one may lack it. A byte order
/// mark at the beginning is left out. Empty lines are lines, unless they are
/// [skipped](Self::skip_blank).
///
/// The file is read on the blocking pool, a block of up to 512 lines and 64 KiB at a
/// time, and one block ahead; a line that is kept keeps its block. A pipe is handed out
/// line by line.
///
/// A line longer than [`max_line`](Self::max_line) comes as far as that, and says so:
/// [`Line::as_str`] and [`Line::bytes`] fail for it.
///
/// # Errors
/// `open` fails with [`OpenError`], `receive` with
/// [`ReadError`](crate::ReadError) in a [`Permanent`](towpath_core::Permanent), when the
/// lines before it are out.
///
/// ```
/// use towpath_producer::Lines;
///
/// let log = Lines::new("access.log.gz");
/// # let _ = log;
/// ```
#[must_use]
pub struct Lines {
    path: Arc<Path>,
    max_line: usize,
    skip_blank: bool,
    progress: FileProgress,
    blocks: Option<Blocks<LineReader, Vec<Line>>>,
}

/// The longest line in bytes, unless said otherwise.
const MAX_LINE: usize = 1024 * 1024;

impl Lines {
    /// The lines of the file at `path`, which is opened when the pipeline starts.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self {
            path: path.as_ref().into(),
            max_line: MAX_LINE,
            skip_blank: false,
            progress: FileProgress::default(),
            blocks: None,
        }
    }

    /// Cuts lines at `bytes`; 1 MiB unless said otherwise.
    pub fn max_line(mut self, bytes: NonZeroUsize) -> Self {
        self.max_line = bytes.get();
        self
    }

    /// Leaves out lines that hold nothing but blanks. They are counted by their number.
    pub fn skip_blank(mut self) -> Self {
        self.skip_blank = true;
        self
    }

    /// How far the file has been read.
    pub fn progress(&self) -> FileProgress {
        self.progress.clone()
    }

    async fn opened(&mut self) -> Result<&mut Blocks<LineReader, Vec<Line>>, BoxError> {
        let blocks = match self.blocks.take() {
            Some(blocks) => blocks,
            None => Blocks::new(opened(self.opening()).await?),
        };
        Ok(self.blocks.insert(blocks))
    }

    fn opening(&self) -> impl FnOnce() -> Result<LineReader, OpenError> + Send + use<> {
        let (path, progress) = (self.path.clone(), self.progress.clone());
        let (max_line, skip_blank) = (self.max_line, self.skip_blank);
        move || {
            let input = Input::open(&path, &progress)?;
            Ok(LineReader::new(path, input, max_line, skip_blank))
        }
    }
}

impl Producer for Lines {
    type Payload = Line;
    type Acknowledger = Unacknowledged;

    async fn open(&mut self) -> Result<(), BoxError> {
        self.opened().await.map(drop)
    }

    async fn receive(&mut self, intake: &mut Intake<Line, ()>) -> Result<Received, BoxError> {
        let deliver = |line: Line| {
            let origin = Origin::default().at(line.number());
            Delivery::new(line, ()).with_origin(origin)
        };
        self.opened().await?.receive(intake, deliver).await
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines")
            .field("path", &self.path)
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
