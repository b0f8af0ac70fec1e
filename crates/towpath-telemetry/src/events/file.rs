//! The durable form: lines of JSON in files that are rotated.

mod naming;
mod reading;
mod store;
mod writer;

use std::{path::PathBuf, time::Duration};

pub use reading::{Reading, Saved, read};
pub(super) use writer::Writer;

/// Where and how events are kept on disk.
///
/// One line of JSON for each record, in files whose names sort by age:
/// `events-001772368200250-4711.jsonl` is the one that process 4711 began that many
/// milliseconds after 1970. Nobody else should keep files of such names in the folder: the
/// oldest are removed.
///
/// ```
/// use std::time::Duration;
/// use towpath_telemetry::events::{EventFiles, EventLog, read};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path().join("events");
/// let files = EventFiles::new(&folder).max_bytes(1 << 20).keep(4);
/// let log = EventLog::new().durable(files)?;
/// // .. pipelines run ..
/// log.flush(Duration::from_secs(1));
///
/// let records = read(&folder)?.filter(|saved| saved.kind == "restarted").count();
/// # assert_eq!(records, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct EventFiles {
    dir: PathBuf,
    max_bytes: u64,
    max_age: Duration,
    keep: usize,
    queue: usize,
}

/// What has become of the records that were to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct FileCounts {
    /// Written, and with the operating system.
    pub written: u64,
    /// Lost because a file could not be written.
    pub failed: u64,
    /// Lost because they came faster than they could be written.
    pub lost: u64,
    /// What went wrong last; `None` since something was written again.
    pub error: Option<String>,
    /// The file that is written now.
    pub file: Option<PathBuf>,
}

impl EventFiles {
    /// Keeps events in a folder, which is made when it is missing: 8 files of 8 MiB or a day.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            max_bytes: 8 << 20,
            max_age: Duration::from_secs(24 * 60 * 60),
            keep: 8,
            queue: 4096,
        }
    }

    /// Begins a new file before one is larger than this many bytes. A single record that is
    /// larger has a file of its own.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Begins a new file when the first record of one is older than this.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// Keeps so many files, the one that is written included; at least one. Older ones are
    /// removed, also those that earlier processes left.
    pub fn keep(mut self, files: usize) -> Self {
        self.keep = files.max(1);
        self
    }

    /// Lets so many records wait to be written; at least one. What comes then is lost to the
    /// files.
    pub fn queue(mut self, records: usize) -> Self {
        self.queue = records.max(1);
        self
    }
}

#[cfg(test)]
mod tests;
