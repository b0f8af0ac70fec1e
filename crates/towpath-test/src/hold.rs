//! What hangs on cue, and how a test waits without sleeping.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

/// Holds whoever comes by until it is released.
#[derive(Debug)]
pub(crate) struct Hold(watch::Sender<bool>);

impl Hold {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    pub(crate) fn release(&self) {
        self.0.send_replace(true);
    }

    /// Waits for the release; for ever, without one.
    pub(crate) async fn wait(&self) {
        let mut released = self.0.subscribe();
        // The sender is in `self`: it cannot be gone.
        drop(released.wait_for(|released| *released).await);
    }
}

/// Waits until `holds`, looking again at each notification of all waiters.
pub(crate) async fn wait_until(changed: &Notify, holds: impl Fn() -> bool) {
    loop {
        let mut change = std::pin::pin!(changed.notified());
        change.as_mut().enable();
        if holds() {
            return;
        }
        change.await;
    }
}

/// A panic on cue must not poison what the test looks at.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
