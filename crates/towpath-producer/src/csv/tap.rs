//! What goes into the parser, kept for a moment.

use std::io::{self, ErrorKind, Read};

/// A row that is longer than a row may be: a quote may have been left open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a row has more than {limit} bytes; is a quote left open?")]
#[non_exhaustive]
pub struct RowTooLong {
    /// The longest that a row may be, in bytes.
    pub limit: usize,
}

/// Passes the bytes of a file on to the parser, remembers the last of them, and stops a
/// row that is too long.
///
/// The parser says how many bytes it has taken and how many line ends were among them,
/// but not whether a line end was the last: that depends on `\r\n`, and on the end of
/// the file.
pub(super) struct Tap {
    bytes: Box<dyn Read + Send>,
    /// What was read last, and where in the file it begins.
    last: Vec<u8>,
    start: u64,
    /// How much was read since the row began.
    row: usize,
    max_row: usize,
}

impl Tap {
    pub(super) fn new(bytes: Box<dyn Read + Send>, max_row: usize) -> Self {
        Self {
            bytes,
            last: Vec::new(),
            start: 0,
            row: 0,
            max_row,
        }
    }

    pub(super) fn begin_row(&mut self) {
        self.row = 0;
    }

    /// Whether the byte before `position` ends a line.
    pub(super) fn ends_line(&self, position: u64) -> bool {
        let at = position.checked_sub(self.start + 1);
        let at = at.and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| self.last.get(at)) == Some(&b'\n')
    }

    fn read_some(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.bytes.read(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }
}

impl Read for Tap {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let limit = self.max_row;
        if self.row >= limit {
            return Err(io::Error::new(ErrorKind::InvalidData, RowTooLong { limit }));
        }
        let count = self.read_some(buffer)?;
        if count > 0 {
            self.start += self.last.len() as u64;
            self.last.clear();
            self.last.extend_from_slice(&buffer[..count]);
            self.row += count;
        }
        Ok(count)
    }
}
