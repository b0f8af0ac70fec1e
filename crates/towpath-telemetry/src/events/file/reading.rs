//! Reads back what was written.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::naming;
use crate::events::{Record, Timestamp};

/// Longer lines are skipped.
const LONGEST: u64 = 1 << 20;

/// A record as it was read from a file.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
#[non_exhaustive]
pub struct Saved {
    /// Its number in the log that wrote it; each process begins with 1.
    pub number: u64,
    /// When it was logged.
    pub at: Timestamp,
    /// The pipeline.
    pub pipeline: String,
    /// The time since the pipeline began, in whole milliseconds.
    #[serde(rename = "since_start_ms", deserialize_with = "from_millis")]
    pub since_start: Duration,
    /// The stage it happened at, or the pipeline's own name.
    pub stage: String,
    /// What it was, by its [word](towpath_core::EventKind::word).
    pub kind: String,
    /// What else belongs to its kind: `error`, `retry_in_ms`, `from`, `to`..
    #[serde(flatten)]
    pub details: Map<String, Value>,
}

/// Reads the files of a folder, record by record; see [`read`].
#[derive(Debug)]
pub struct Reading {
    files: VecDeque<PathBuf>,
    open: Option<BufReader<File>>,
    skipped: u64,
    errors: u64,
}

/// Gives back the records that [`EventFiles`](super::EventFiles) keep in a folder, in the
/// order in which they were written, file by file.
///
/// Lines that are no records are skipped and counted: a process that was killed may leave
/// half of one at the end of its last file. It holds one line in memory at a time.
///
/// # Errors
/// When the folder cannot be listed. A file that cannot be read is skipped and counted.
pub fn read(dir: impl AsRef<Path>) -> io::Result<Reading> {
    Ok(Reading {
        files: naming::list(dir.as_ref())?.into(),
        open: None,
        skipped: 0,
        errors: 0,
    })
}

// === impl Reading ===

impl Reading {
    /// Lines so far that were no records.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Files so far that could not be read, or not to their end.
    pub fn errors(&self) -> u64 {
        self.errors
    }

    /// The next line of the open file; `None` at its end.
    fn line(&mut self) -> Option<Vec<u8>> {
        let open = self.open.as_mut()?;
        let mut line = Vec::new();
        match open.take(LONGEST).read_until(b'\n', &mut line) {
            Ok(0) => {}
            Ok(_) => return Some(line),
            Err(_) => self.errors += 1,
        }
        self.open = None;
        None
    }

    fn open_next(&mut self) -> Option<()> {
        let path = self.files.pop_front()?;
        match File::open(path) {
            Ok(file) => self.open = Some(BufReader::new(file)),
            Err(_) => self.errors += 1,
        }
        Some(())
    }
}

impl Iterator for Reading {
    type Item = Saved;

    fn next(&mut self) -> Option<Saved> {
        loop {
            let Some(line) = self.line() else {
                self.open_next()?;
                continue;
            };
            match serde_json::from_slice(&line) {
                Ok(saved) => return Some(saved),
                Err(_) => self.skipped += 1,
            }
        }
    }
}

// === impl Saved ===

/// What reading the record back would give.
impl From<&Record> for Saved {
    fn from(record: &Record) -> Self {
        let details = match serde_json::to_value(&record.kind) {
            Ok(Value::Object(details)) => details,
            _ => Map::new(),
        };
        Self {
            number: record.number,
            at: record.at,
            pipeline: record.pipeline.to_string(),
            since_start: Duration::from_millis(
                u64::try_from(record.since_start.as_millis()).unwrap_or(u64::MAX),
            ),
            stage: record.stage.to_string(),
            kind: record.kind.word().into(),
            details: details
                .into_iter()
                .filter(|(key, _)| key != "kind")
                .collect(),
        }
    }
}

fn from_millis<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_millis)
}
