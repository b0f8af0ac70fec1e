//! The thread of a source, from its first message to its end.

use std::{
    fmt, io,
    sync::{Arc, Mutex, atomic::Ordering::Release, mpsc},
    thread::{self, JoinHandle},
};

use super::{events, group::Group};
use crate::lock::lock;

/// The thread of a source. When this is dropped, the group is left.
pub(super) struct Membership {
    group: Arc<Group>,
    thread: Mutex<Option<Thread>>,
}

struct Thread {
    handle: JoinHandle<()>,
    /// Disconnected when the thread is at its end.
    ended: mpsc::Receiver<()>,
}

// === impl Membership ===

impl Membership {
    pub(super) fn new(group: Arc<Group>) -> Self {
        Self {
            group,
            thread: Mutex::default(),
        }
    }

    /// Begins the thread, unless there is one.
    pub(super) fn begin(&self) -> io::Result<()> {
        let mut thread = lock(&self.thread);
        if thread.is_none() {
            *thread = Some(Thread::begin(&self.group)?);
        }
        Ok(())
    }
}

impl Drop for Membership {
    /// Leaves the group, so that others have its partitions at once, and waits for that. A
    /// client that hangs is left to itself: it ends with its last request.
    fn drop(&mut self) {
        self.group.is_stopping.store(true, Release);
        let Some(thread) = lock(&self.thread).take() else {
            return;
        };
        let timeout = self.group.options.close_timeout;
        if thread.ended.recv_timeout(timeout) == Err(mpsc::RecvTimeoutError::Disconnected) {
            drop(thread.handle.join());
        }
    }
}

// === impl Thread ===

impl Thread {
    fn begin(group: &Arc<Group>) -> io::Result<Self> {
        let group = group.clone();
        let (end, ended) = mpsc::sync_channel(0);
        let named = thread::Builder::new().name("towpath-kafka".to_owned());
        let handle = named.spawn(move || {
            let _end: mpsc::SyncSender<()> = end;
            events::run(&group);
        })?;
        Ok(Self { handle, ended })
    }
}

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Membership")
            .field("has_begun", &lock(&self.thread).is_some())
            .finish_non_exhaustive()
    }
}
