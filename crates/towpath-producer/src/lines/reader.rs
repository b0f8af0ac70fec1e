//! Reads a file into blocks of lines.

use std::{
    io::{self, BufRead, Read as _},
    path::Path,
    sync::Arc,
};

use bytes::Bytes;

use super::Line;
use crate::open_file::{Input, ReadError};

/// Bytes of lines in a block, but for the last one.
const BLOCK_BYTES: usize = 64 * 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The blocks of lines of a file. Ends behind an error.
pub(crate) struct LineReader {
    path: Arc<Path>,
    input: Box<dyn BufRead + Send>,
    block: usize,
    max_line: usize,
    skip_blank: bool,
    /// The number of lines read.
    number: u64,
    failed: Option<ReadError>,
    over: bool,
}

/// Where a line is in the text of its block.
struct Span {
    number: u64,
    start: usize,
    end: usize,
    cut: bool,
}

impl LineReader {
    pub(crate) fn new(path: Arc<Path>, input: Input, max_line: usize, skip_blank: bool) -> Self {
        Self {
            path,
            block: input.block,
            input: input.buffered(BLOCK_BYTES),
            max_line,
            skip_blank,
            number: 0,
            failed: None,
            over: false,
        }
    }

    fn read_block(&mut self) -> Vec<Line> {
        let mut text = Vec::new();
        let mut spans = Vec::new();
        while spans.len() < self.block && text.len() < BLOCK_BYTES {
            match self.read_line(&mut text) {
                Ok(Some(span)) => spans.push(span),
                Ok(None) => {
                    self.over = true;
                    break;
                }
                Err(error) => {
                    let line = self.number + 1;
                    self.failed = Some(ReadError::new(self.path.clone(), line, error));
                    break;
                }
            }
        }
        let text = Bytes::from(text);
        let line = |s: Span| Line::new(s.number, text.slice(s.start..s.end)).cut(s.cut);
        spans.into_iter().map(line).collect()
    }

    /// Adds the next line to `text`; `None` when there is none.
    fn read_line(&mut self, text: &mut Vec<u8>) -> io::Result<Option<Span>> {
        loop {
            let start = text.len();
            let limit = self.limit();
            let read = self.input.by_ref().take(limit).read_until(b'\n', text)?;
            if read == 0 {
                return Ok(None);
            }
            let span = self.span(start, text);
            if span.cut && text.last() != Some(&b'\n') {
                self.input.skip_until(b'\n')?;
            }
            self.number += 1;
            text.truncate(span.end);
            let blank = text[span.start..].iter().all(u8::is_ascii_whitespace);
            if !(blank && self.skip_blank) {
                return Ok(Some(span));
            }
            text.truncate(start);
        }
    }

    /// What is read of a line: as long as it may be, its end, and what may stand before it.
    fn limit(&self) -> u64 {
        let mark = if self.number == 0 {
            BYTE_ORDER_MARK.len()
        } else {
            0
        };
        self.max_line.saturating_add(b"\r\n".len() + mark) as u64
    }

    /// Leaves out the end of the line, the byte order mark, and what is too long.
    fn span(&self, start: usize, text: &[u8]) -> Span {
        let first = self.number == 0 && text[start..].starts_with(BYTE_ORDER_MARK);
        let start = if first {
            start + BYTE_ORDER_MARK.len()
        } else {
            start
        };
        let line = &text[start..];
        let line = match line.strip_suffix(b"\n") {
            Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
            None => line,
        };
        Span {
            number: self.number + 1,
            start,
            end: start + line.len().min(self.max_line),
            cut: line.len() > self.max_line,
        }
    }
}

impl Iterator for LineReader {
    type Item = Result<Vec<Line>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.over && self.failed.is_none() {
            let lines = self.read_block();
            if !lines.is_empty() {
                return Some(Ok(lines));
            }
        }
        self.over = true;
        self.failed.take().map(Err)
    }
}
