//! Reads a file into blocks of rows.

use std::{collections::VecDeque, io, path::Path, sync::Arc};

use csv::{ByteRecord, Position, Reader, ReaderBuilder};

use super::{CsvRow, Options, row::Block, tap::Tap};
use crate::open_file::{Input, OpenError, ReadError};

/// Bytes that the parser takes at a time.
const BUFFER: usize = 64 * 1024;
/// Bytes and fields in a block, but for the last row.
const BLOCK_SIZE: usize = 64 * 1024;
/// Blocks that are remembered, to be used again when nobody has rows of them any more: as
/// many as a few open batches of a thousand rows hold on to, where originals are kept.
const BLOCKS: usize = 64;
/// A record that was longer is not used again, so that no long row stays in memory.
const LONG: usize = 4 * 1024;

/// The blocks of rows of a file. Ends behind an error.
pub(crate) struct RowReader {
    path: Arc<Path>,
    parser: Reader<Tap>,
    headers: Arc<ByteRecord>,
    /// Whether the row before ended with the end of a line, and not within `\r\n`.
    line_ended: bool,
    block: usize,
    recent: VecDeque<Arc<Block>>,
    failed: Option<ReadError>,
    over: bool,
}

/// The rows of a block.
pub(crate) struct Rows {
    block: Arc<Block>,
    next: usize,
}

// === impl RowReader ===

impl RowReader {
    /// Opens a file and reads its header.
    pub(crate) fn open(options: &Options) -> Result<Self, OpenError> {
        let input = Input::open(&options.path, &options.progress)?;
        let mut reader = Self {
            path: options.path.clone(),
            parser: ReaderBuilder::new()
                .has_headers(false)
                .flexible(true)
                .delimiter(options.delimiter)
                .buffer_capacity(BUFFER)
                .from_reader(Tap::new(input.bytes, options.max_row)),
            headers: Arc::default(),
            line_ended: true,
            block: input.block,
            recent: VecDeque::new(),
            failed: None,
            over: false,
        };
        reader.headers = Arc::new(reader.read_header(&options.required)?);
        Ok(reader)
    }

    fn read_header(&mut self, required: &[String]) -> Result<ByteRecord, OpenError> {
        let path = self.path.clone();
        let mut headers = ByteRecord::new();
        let read = self.read_row(&mut headers);
        if !read.map_err(|error| OpenError::from_io(&path, error))? {
            let path = path.to_path_buf();
            return Err(OpenError::NoHeader { path });
        }
        let is_there = |name: &String| headers.iter().any(|header| header == name.as_bytes());
        let columns: Vec<_> = required.iter().filter(|n| !is_there(n)).cloned().collect();
        if !columns.is_empty() {
            let path = path.to_path_buf();
            return Err(OpenError::MissingColumns { path, columns });
        }
        Ok(headers)
    }

    /// Reads the next block, empty when there is nothing more.
    fn read_block(&mut self) -> Arc<Block> {
        let mut block = self.spare_block();
        let rows = Arc::get_mut(&mut block).expect("nobody else has a spare block");
        let mut size = 0;
        rows.len = 0;
        while rows.len < self.block && size < BLOCK_SIZE {
            let record = rows.spare_record();
            match self.read_row(record) {
                Ok(true) => size += size_of_row(record),
                Ok(false) => {
                    self.over = true;
                    break;
                }
                Err(error) => {
                    let begun = record.position().map_or(0, Position::line);
                    let line = begun + u64::from(!self.line_ended);
                    self.failed = Some(ReadError::new(self.path.clone(), line, error));
                    break;
                }
            }
            rows.len += 1;
        }
        block
    }

    /// A block that nobody has rows of any more, or a new one.
    fn spare_block(&mut self) -> Arc<Block> {
        let mut recent = self.recent.iter();
        let spare = recent.position(|block| Arc::strong_count(block) == 1);
        if let Some(spare) = spare.and_then(|at| self.recent.swap_remove_back(at)) {
            return spare;
        }
        Arc::new(Block {
            headers: self.headers.clone(),
            records: Vec::new(),
            len: 0,
        })
    }

    fn remember(&mut self, block: &Arc<Block>) {
        if self.recent.len() == BLOCKS {
            self.recent.pop_front();
        }
        self.recent.push_back(block.clone());
    }

    fn read_row(&mut self, record: &mut ByteRecord) -> io::Result<bool> {
        self.parser.get_mut().begin_row();
        let read = self.parser.read_byte_record(record)?;
        if read {
            self.correct_line(record);
        }
        Ok(read)
    }

    /// Sets the line on which a row begins.
    ///
    /// The parser says where it began to look for the row: before empty lines, and before
    /// the `\n` of the `\r\n` that ended the row before. So count back from where it is.
    fn correct_line(&mut self, record: &mut ByteRecord) {
        let now = self.parser.position();
        self.line_ended = self.parser.get_ref().ends_line(now.byte());
        let Some(begun) = record.position() else {
            return;
        };
        let passed = now.line() - begun.line();
        let passed = passed.saturating_sub(self.line_ended.into());
        if passed == 0 {
            return;
        }
        let mut corrected = begun.clone();
        let skipped = passed.saturating_sub(line_ends(record));
        corrected.set_line(begun.line() + skipped);
        record.set_position(Some(corrected));
    }
}

/// A field costs memory even if it is empty.
fn size_of_row(record: &ByteRecord) -> usize {
    record.as_slice().len() + record.len()
}

fn line_ends(record: &ByteRecord) -> u64 {
    let fields = record.as_slice().iter();
    fields.map(|byte| u64::from(*byte == b'\n')).sum()
}

impl Iterator for RowReader {
    type Item = Result<Rows, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.over && self.failed.is_none() {
            let block = self.read_block();
            if block.len > 0 {
                self.remember(&block);
                return Some(Ok(Rows { block, next: 0 }));
            }
        }
        self.over = true;
        self.failed.take().map(Err)
    }
}

// === impl Block ===

impl Block {
    /// The record behind the rows of the block.
    fn spare_record(&mut self) -> &mut ByteRecord {
        if self.records.len() == self.len {
            self.records.push(self.new_record());
        }
        let record = &mut self.records[self.len];
        if size_of_row(record) > LONG {
            *record = ByteRecord::new();
        }
        record
    }

    /// A record that has room for a row like the one before it, so that it need not grow.
    fn new_record(&self) -> ByteRecord {
        let size = self.records.last().map_or(0, |row| row.as_slice().len());
        ByteRecord::with_capacity((size + size / 4).min(LONG), self.headers.len())
    }
}

// === impl Rows ===

impl Iterator for Rows {
    type Item = CsvRow;

    fn next(&mut self) -> Option<CsvRow> {
        let index = self.next;
        if index == self.block.len {
            return None;
        }
        self.next += 1;
        Some(CsvRow::of(self.block.clone(), index))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.block.len - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Rows {}
