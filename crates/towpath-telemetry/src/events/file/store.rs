//! Writes lines, begins new files, and removes old ones.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::{EventFiles, naming};
use crate::events::Timestamp;

/// How many names are tried for a new file.
const NAMES: u32 = 16;

/// The files of one log.
#[derive(Debug)]
pub(super) struct Store {
    files: EventFiles,
    open: Option<Open>,
    /// The moment in the name of the newest file, so that a clock that was set back does not
    /// change their order.
    newest: u64,
    pending: Vec<u8>,
    records: u64,
}

#[derive(Debug)]
struct Open {
    file: File,
    path: PathBuf,
    bytes: u64,
    since: Timestamp,
}

/// How many records a write was about.
pub(super) type Wrote = Result<u64, Unwritten>;

/// Records that could not be written.
#[derive(Debug)]
pub(super) struct Unwritten {
    pub(super) records: u64,
    pub(super) error: io::Error,
}

impl Store {
    pub(super) fn new(files: EventFiles) -> Self {
        Self {
            files,
            open: None,
            newest: 0,
            pending: Vec::new(),
            records: 0,
        }
    }

    /// Makes the folder and removes what is too old.
    pub(super) fn prepare(&mut self) -> io::Result<()> {
        fs::create_dir_all(&self.files.dir)?;
        let known = naming::list(&self.files.dir)?;
        let newest = known.last().and_then(|path| naming::stamp(path));
        self.newest = self.newest.max(newest.unwrap_or(0));
        self.clean(&known)
    }

    /// The file that is written now.
    pub(super) fn path(&self) -> Option<&Path> {
        self.open.as_ref().map(|open| open.path.as_path())
    }

    /// Takes a line that ends with a line feed. It is not written before the next
    /// [`commit`](Self::commit), unless what is taken before it is.
    pub(super) fn take(&mut self, line: &[u8], at: Timestamp) -> Wrote {
        let wrote = if self.is_full_for(line.len(), at) {
            let wrote = self.commit(at);
            self.close();
            wrote
        } else {
            Ok(0)
        };
        self.pending.extend_from_slice(line);
        self.records += 1;
        wrote
    }

    fn is_full_for(&self, more: usize, at: Timestamp) -> bool {
        let (begun, aged) = match &self.open {
            Some(open) => (open.bytes, at.since(open.since) > self.files.max_age),
            None => (0, false),
        };
        let bytes = begun + self.pending.len() as u64;
        bytes > 0 && (aged || bytes + more as u64 > self.files.max_bytes)
    }

    /// Writes what was taken.
    pub(super) fn commit(&mut self, at: Timestamp) -> Wrote {
        let records = std::mem::take(&mut self.records);
        let lines = std::mem::take(&mut self.pending);
        if records == 0 {
            return Ok(0);
        }
        let written = self.write(&lines, at);
        if let Err(error) = written {
            // It may end in half a line: nothing is added to it.
            self.open = None;
            return Err(Unwritten { records, error });
        }
        self.pending = lines;
        self.pending.clear();
        Ok(records)
    }

    fn write(&mut self, lines: &[u8], at: Timestamp) -> io::Result<()> {
        let open = match &mut self.open {
            Some(open) => open,
            closed => {
                let begun = begin(&self.files, &mut self.newest, at)?;
                closed.insert(begun)
            }
        };
        open.file.write_all(lines)?;
        open.bytes += lines.len() as u64;
        Ok(())
    }

    /// Ends the file that is written, once what it holds is on the disk.
    pub(super) fn close(&mut self) {
        if let Some(open) = self.open.take() {
            // The records are with the operating system; that is what was promised.
            drop(open.file.sync_data());
        }
    }

    fn clean(&self, known: &[PathBuf]) -> io::Result<()> {
        remove_oldest(known, self.files.keep)
    }
}

/// Begins a new file: never goes on with one that a killed process may have left in mid-line.
fn begin(files: &EventFiles, newest: &mut u64, at: Timestamp) -> io::Result<Open> {
    fs::create_dir_all(&files.dir)?;
    let (file, path) = create(&files.dir, newest, at)?;
    let open = Open {
        file,
        path,
        bytes: 0,
        since: at,
    };
    // A file that cannot be removed must not stop the writing.
    if let Ok(known) = naming::list(&files.dir) {
        drop(remove_oldest(&known, files.keep));
    }
    Ok(open)
}

fn create(dir: &Path, newest: &mut u64, at: Timestamp) -> io::Result<(File, PathBuf)> {
    let mut tries = 0;
    loop {
        *newest = at.as_millis().max(*newest + 1);
        let path = dir.join(naming::name(*newest));
        match File::create_new(&path) {
            Ok(file) => return Ok((file, path)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && tries < NAMES => tries += 1,
            Err(error) => return Err(error),
        }
    }
}

fn remove_oldest(known: &[PathBuf], keep: usize) -> io::Result<()> {
    let surplus = known.len().saturating_sub(keep);
    let mut result = Ok(());
    for path in &known[..surplus] {
        match fs::remove_file(path) {
            // Another process was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => result = result.and(removed),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    //! A write that fails in the middle.

    use super::*;

    #[test]
    fn a_file_that_could_not_be_written_is_left_as_it_is_and_a_new_one_is_begun() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::new(EventFiles::new(dir.path()));
        let at = Timestamp::from_millis(1000);
        store.take(b"1\n", at).unwrap();
        assert_eq!(store.commit(at).unwrap(), 1);
        // Its disk takes nothing any more: the file can only be read.
        let open = store.open.as_mut().unwrap();
        open.file = File::open(&open.path).unwrap();
        store.take(b"2\n", at).unwrap();
        store.take(b"3\n", at).unwrap();
        assert_eq!(store.commit(at).unwrap_err().records, 2);
        assert_eq!(store.path(), None);

        store.take(b"4\n", at).unwrap();
        assert_eq!(store.commit(at).unwrap(), 1);
        let files = naming::list(dir.path()).unwrap();
        let texts: Vec<_> = files.iter().map(|f| fs::read(f).unwrap()).collect();
        assert_eq!(texts, [b"1\n", b"4\n"]);
    }
}
