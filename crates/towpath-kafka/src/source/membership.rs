//! The thread of a source, from its first message to its end.

use std::{
    fmt, io, mem,
    sync::{Arc, Mutex, atomic::Ordering::Release, mpsc},
    thread::{self, JoinHandle},
};

use tokio::{sync::oneshot, time::timeout};

use super::{events, group::Group};
use crate::lock::lock;

/// The thread of a source. When this is closed, the group is left; at the latest when it is
/// dropped.
pub(super) struct Membership {
    group: Arc<Group>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Before,
    Member(Thread),
    /// The thread has ended, or does so without anybody who waits.
    Closed,
}

#[derive(Debug)]
struct Thread {
    handle: JoinHandle<()>,
    /// Both are disconnected when the thread is at its end: one for who waits, one for who
    /// has to block.
    ended: oneshot::Receiver<()>,
    ended_blocking: mpsc::Receiver<()>,
}

// === impl Membership ===

impl Membership {
    pub(super) fn new(group: Arc<Group>) -> Self {
        Self {
            group,
            state: Mutex::default(),
        }
    }

    /// Begins the thread, unless there is one.
    pub(super) fn begin(&self) -> io::Result<()> {
        let mut state = lock(&self.state);
        match *state {
            State::Before => *state = State::Member(Thread::begin(&self.group)?),
            State::Member(_) => {}
            State::Closed => {
                return Err(io::Error::other(
                    "the group was left: this source is closed",
                ));
            }
        }
        Ok(())
    }

    /// Leaves the group, so that others have its partitions at once, and waits for that. A
    /// client that hangs is left to itself: it ends with its last request.
    ///
    /// Cancel safe: dropped, it is left to itself as well.
    pub(super) async fn close(&self) -> io::Result<()> {
        let Some(thread) = self.end() else {
            return Ok(());
        };
        let within = self.group.options.close_timeout;
        // Nothing is ever sent.
        if timeout(within, thread.ended).await.is_err() {
            let still = format!("the group is not left within {within:?}, the `close_timeout`");
            return Err(io::Error::new(io::ErrorKind::TimedOut, still));
        }
        drop(thread.handle.join());
        Ok(())
    }

    /// Tells the thread to end; none where it was told already, or never was.
    fn end(&self) -> Option<Thread> {
        self.group.is_stopping.store(true, Release);
        match mem::replace(&mut *lock(&self.state), State::Closed) {
            State::Member(thread) => Some(thread),
            State::Before | State::Closed => None,
        }
    }
}

impl Drop for Membership {
    /// Does what [`close`](Self::close) does where nobody did, and blocks the thread for it.
    fn drop(&mut self) {
        let Some(thread) = self.end() else {
            return;
        };
        let timeout = self.group.options.close_timeout;
        let ended = thread.ended_blocking.recv_timeout(timeout);
        if ended == Err(mpsc::RecvTimeoutError::Disconnected) {
            drop(thread.handle.join());
        }
    }
}

// === impl Thread ===

impl Thread {
    fn begin(group: &Arc<Group>) -> io::Result<Self> {
        let group = group.clone();
        let (end, ended) = oneshot::channel();
        let (end_blocking, ended_blocking) = mpsc::sync_channel(0);
        let named = thread::Builder::new().name("towpath-kafka".to_owned());
        let handle = named.spawn(move || {
            let _ends: (oneshot::Sender<()>, mpsc::SyncSender<()>) = (end, end_blocking);
            events::run(&group);
        })?;
        Ok(Self {
            handle,
            ended,
            ended_blocking,
        })
    }
}

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Membership")
            .field("state", &*lock(&self.state))
            .finish_non_exhaustive()
    }
}
