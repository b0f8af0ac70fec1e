//! The log of events.

use std::{
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use tokio::sync::watch;
use towpath_core::{Event, Observer, StageName};

use super::{
    EventFiles, FileCounts, Query, Record, Subscription, Timestamp, file::Writer, rings::Rings,
    telling::Teller,
};

/// How many records are held unless it is said.
const CAPACITY: usize = 1024;

/// Holds the last events of any number of pipelines. Clones share what they hold.
///
/// What comes in bursts as large as the traffic (rejected messages, outcomes that could not be
/// told) has a quarter of the room for itself, so that it never pushes out the life cycle.
#[derive(Clone)]
pub struct EventLog(Arc<Shared>);

struct Shared {
    rings: Arc<Mutex<Rings>>,
    news: watch::Sender<()>,
    file: OnceLock<Writer>,
}

impl EventLog {
    /// Holds the last 1024 records.
    pub fn new() -> Self {
        Self::with_capacity(CAPACITY)
    }

    /// Holds the last `records`, a quarter of them for what comes with messages; no less than
    /// two.
    pub fn with_capacity(records: usize) -> Self {
        Self(Arc::new(Shared {
            rings: Arc::new(Mutex::new(Rings::new(records))),
            news: watch::Sender::new(()),
            file: OnceLock::new(),
        }))
    }

    /// Writes what comes from now on to files too. The folder is made, and old files are
    /// removed, at once; the rest does a thread of its own. What it cannot keep up with is
    /// lost to the files, and counted.
    ///
    /// # Errors
    /// When the thread cannot be started, and with [`AlreadyExists`](io::ErrorKind) when the
    /// log is written already. That a file cannot be written is no error here: it is counted.
    pub fn durable(self, files: EventFiles) -> io::Result<Self> {
        let set = self.0.file.set(Writer::start(files)?);
        set.map_err(|_| io::ErrorKind::AlreadyExists)?;
        Ok(self)
    }

    /// Tells this log what happens in `pipeline`, and `tracing` too.
    pub fn observer(&self, pipeline: &StageName) -> Arc<dyn Observer> {
        let (log, pipeline) = (self.clone(), pipeline.clone());
        let teller = Teller::default();
        Arc::new(move |event: &Event| {
            log.record(&pipeline, event);
            teller.tell(&pipeline, event);
        })
    }

    /// Takes an event, and gives the number of its record. Never waits.
    pub fn record(&self, pipeline: &StageName, event: &Event) -> u64 {
        let record = Record {
            number: 0,
            at: Timestamp::now(),
            pipeline: pipeline.clone(),
            since_start: event.at,
            stage: event.stage.clone(),
            kind: event.kind.clone(),
        };
        let (record, forgotten) = self.keep(record);
        // May run the user's code: an error is dropped with its event.
        drop(forgotten);
        self.0.news.send_replace(());
        record.number
    }

    fn keep(&self, record: Record) -> (Arc<Record>, Option<Arc<Record>>) {
        let mut rings = self.rings();
        let kept = rings.push(record);
        // Under the lock, so that files have them in the order of their numbers.
        if let Some(writer) = self.0.file.get() {
            writer.offer(&kept.0);
        }
        kept
    }

    /// The records that are asked for, in the order of their numbers.
    pub fn query(&self, query: &Query) -> Vec<Arc<Record>> {
        self.rings().query(query)
    }

    /// The number of the last record; 0 before the first.
    pub fn last(&self) -> u64 {
        self.rings().last()
    }

    /// How many records had to make room for later ones.
    pub fn forgotten(&self) -> u64 {
        self.rings().forgotten()
    }

    /// Tells what comes from now on. The last records, and then what follows without a gap:
    /// subscribe first, then [`query`](Self::query) and skip what is heard again.
    pub fn subscribe(&self) -> Subscription {
        let news = self.0.news.subscribe();
        Subscription::new(Arc::clone(&self.0.rings), news, self.last())
    }

    /// What has become of the records that were to be written to files; `None` if none are.
    pub fn files(&self) -> Option<FileCounts> {
        self.0.file.get().map(Writer::counts)
    }

    /// Waits until what was logged so far is in its file, or lost, and says whether it is
    /// before `within` has passed. True if nothing is written at all.
    ///
    /// Blocks the thread: in a task, call it on a thread that may block. The last clone that
    /// is dropped waits in this way for a second at most.
    pub fn flush(&self, within: Duration) -> bool {
        self.0.file.get().is_none_or(|writer| writer.flush(within))
    }

    fn rings(&self) -> MutexGuard<'_, Rings> {
        self.0.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for EventLog {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for EventLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLog")
            .field("last", &self.last())
            .field("forgotten", &self.forgotten())
            .field("files", &self.files())
            .finish()
    }
}

#[cfg(test)]
mod tests;
