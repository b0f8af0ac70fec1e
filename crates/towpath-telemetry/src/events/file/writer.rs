//! The thread that writes records to files.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use super::{
    EventFiles, FileCounts,
    store::{Store, Unwritten, Wrote},
};
use crate::events::Record;

/// How long the last owner of a log waits for what is not written yet.
const LAST_FLUSH: Duration = Duration::from_secs(1);
/// After so many records, what was taken is written although more is waiting.
const CHUNK: usize = 256;

/// Hands records to a thread of its own.
#[derive(Debug)]
pub(crate) struct Writer {
    /// `None` when it is being dropped.
    jobs: Option<SyncSender<Arc<Record>>>,
    offered: AtomicU64,
    lost: AtomicU64,
    progress: Arc<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    now: Mutex<Now>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct Now {
    counts: FileCounts,
    ended: bool,
}

impl Writer {
    /// Makes the folder, removes what is too old, and starts the thread.
    pub(crate) fn start(files: EventFiles) -> io::Result<Self> {
        let (jobs, waiting) = sync_channel(files.queue);
        let progress = Arc::<Progress>::default();
        let mut store = Store::new(files);
        let prepared = store.prepare().map(|()| 0);
        let prepared = prepared.map_err(|error| Unwritten { records: 0, error });
        progress.note(prepared, &store);
        let ending = Ending(Arc::clone(&progress));
        let run = move || write_all(&waiting, store, &ending.0);
        thread::Builder::new()
            .name("towpath-events".into())
            .spawn(run)?;
        Ok(Self {
            jobs: Some(jobs),
            offered: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            progress,
        })
    }

    /// Has a record written, or counts it as lost. Never waits.
    pub(crate) fn offer(&self, record: &Arc<Record>) {
        let jobs = self.jobs.as_ref();
        let taken = jobs.is_some_and(|jobs| jobs.try_send(Arc::clone(record)).is_ok());
        let count = if taken { &self.offered } else { &self.lost };
        count.fetch_add(1, Relaxed);
    }

    pub(crate) fn counts(&self) -> FileCounts {
        let mut counts = self.progress.lock().counts.clone();
        counts.lost = self.lost.load(Relaxed);
        counts
    }

    /// Waits until all that was taken so far is written or has failed.
    pub(crate) fn flush(&self, within: Duration) -> bool {
        let offered = self.offered.load(Relaxed);
        self.progress.wait(within, |now| now.handled() >= offered)
    }
}

/// Lets the thread end with what it has, and waits for it a while.
impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        self.progress.wait(LAST_FLUSH, |_| false);
    }
}

impl Now {
    fn handled(&self) -> u64 {
        self.counts.written + self.counts.failed
    }
}

impl Progress {
    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `done`, the end of the thread, or the end of the time.
    fn wait(&self, within: Duration, done: impl Fn(&Now) -> bool) -> bool {
        let waits = |now: &mut Now| !done(now) && !now.ended;
        let waited = self.moved.wait_timeout_while(self.lock(), within, waits);
        let (now, _) = waited.unwrap_or_else(PoisonError::into_inner);
        done(&now)
    }

    fn note(&self, wrote: Wrote, store: &Store) {
        let mut now = self.lock();
        match wrote {
            Ok(0) => {}
            Ok(records) => {
                now.counts.written += records;
                now.counts.error = None;
            }
            Err(Unwritten { records, error }) => {
                now.counts.failed += records;
                now.counts.error = Some(error.to_string());
            }
        }
        now.counts.file = store.path().map(Into::into);
        drop(now);
        self.moved.notify_all();
    }
}

/// Says that the thread has ended, however it did.
struct Ending(Arc<Progress>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.moved.notify_all();
    }
}

fn write_all(waiting: &Receiver<Arc<Record>>, mut store: Store, progress: &Progress) {
    while let Ok(record) = waiting.recv() {
        let mut at = record.at;
        for record in std::iter::once(record).chain(waiting.try_iter().take(CHUNK)) {
            at = record.at;
            progress.note(take(&mut store, &record), &store);
        }
        let wrote = store.commit(at);
        progress.note(wrote, &store);
    }
    store.close();
}

fn take(store: &mut Store, record: &Record) -> Wrote {
    let line = line(record).map_err(|error| Unwritten { records: 1, error })?;
    store.take(&line, record.at)
}

/// A record as a line; an error that panics when it is shown costs its own record only.
fn line(record: &Record) -> io::Result<Vec<u8>> {
    let shown = catch_unwind(AssertUnwindSafe(|| serde_json::to_vec(record)));
    let mut line = shown.map_err(|_| io::Error::other("an error of a user panicked"))??;
    line.push(b'\n');
    Ok(line)
}
