//! What a pipeline process writes down as it works, in files that outlive a SIGKILL.
//!
//! Before a message goes on to where it can have an effect, its number is appended to a file, by
//! one system call. How many outcomes the source has confirmed is written to another file
//! every other millisecond. Both are in the page cache of the kernel as soon as the call returns,
//! so that whoever kills the process can read them afterwards: *taken - told* is then at least
//! what was in flight at the kill, and exact but for outcomes of the last two milliseconds.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const NUMBER: usize = size_of::<u64>();

/// As the process writes it.
#[derive(Debug)]
pub(crate) struct Journal {
    taken: File,
    told: File,
}

/// Where it is, for who reads it.
#[derive(Clone, Debug)]
pub(crate) struct Place(PathBuf);

// === impl Journal ===

impl Journal {
    pub(crate) fn create(place: &Place) -> io::Result<Self> {
        let taken = File::options()
            .create(true)
            .append(true)
            .open(place.taken())?;
        Ok(Self {
            taken,
            told: File::create(place.told())?,
        })
    }

    /// A message is about to be worked on.
    pub(crate) fn take(&self, number: u64) -> io::Result<()> {
        (&self.taken).write_all(&number.to_le_bytes())
    }

    /// So many outcomes are known to the source.
    pub(crate) fn tell(&self, told: u64) -> io::Result<()> {
        self.told.write_all_at(&told.to_le_bytes(), 0)
    }
}

// === impl Place ===

impl Place {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    fn taken(&self) -> PathBuf {
        self.0.with_extension("taken")
    }

    fn told(&self) -> PathBuf {
        self.0.with_extension("told")
    }

    /// The numbers taken so far, in order.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        let bytes = fs::read(self.taken()).unwrap_or_default();
        let numbers = bytes
            .chunks_exact(NUMBER)
            .filter_map(|number| number.try_into().ok());
        numbers.map(u64::from_le_bytes).collect()
    }

    /// How many messages were taken so far.
    pub(crate) fn count(&self) -> u64 {
        let length = fs::metadata(self.taken()).map_or(0, |file| file.len());
        length / NUMBER as u64
    }

    /// How many outcomes the source has confirmed.
    pub(crate) fn confirmed(&self) -> u64 {
        let bytes = fs::read(self.told()).unwrap_or_default();
        bytes.try_into().map_or(0, u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_while_the_writer_is_still_there() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::new(folder.path().join("a-1"));
        assert_eq!((place.count(), place.confirmed()), (0, 0));
        let journal = Journal::create(&place).unwrap();
        for number in [7, 1 << 40, 8] {
            journal.take(number).unwrap();
        }
        journal.tell(2).unwrap();
        assert_eq!(place.numbers(), [7, 1 << 40, 8]);
        assert_eq!((place.count(), place.confirmed()), (3, 2));
    }
}
