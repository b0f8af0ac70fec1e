//! Waiting for the signals that ask a process to stop.

use std::io;

use towpath_core::{BoxError, StageName};

use crate::{BuildError, Pipeline, Report, RunError};

/// The signals that ask a process to stop, caught as long as this lives.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(not(unix))]
struct Signals;

#[cfg(unix)]
impl Signals {
    fn catch() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next signal.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "fails on other platforms")]
    fn catch() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Waits for SIGINT or SIGTERM (Ctrl-C where there are no signals), for
/// [`Pipeline::run_until`].
///
/// From its first poll on, the signals no longer end the process. Where they cannot be
/// caught, it waits for ever.
///
/// # Cancel safety
/// Cancel safe.
pub async fn shutdown_signal() {
    match Signals::catch() {
        Ok(mut signals) => signals.next().await,
        Err(_) => std::future::pending().await,
    }
}

impl Pipeline {
    /// As [`run`](Self::run), until the process is asked to stop: SIGINT or SIGTERM drains,
    /// a second one gives everything back at once.
    ///
    /// # Errors
    /// As [`start`](Self::start), and when the signals cannot be caught: nothing runs then.
    ///
    /// # Cancel safety
    /// As [`run`](Self::run).
    pub async fn run_until_interrupted(self) -> Result<Report, RunError> {
        // Caught before anything runs: none is missed, and none ends the process half-way.
        let mut signals = Signals::catch().map_err(|error| cannot_catch(&self, error))?;
        let running = self.start().await?;
        let handle = running.handle().clone();
        let mut join = std::pin::pin!(running.join());
        tokio::select! {
            report = &mut join => return report,
            () = signals.next() => handle.drain(),
        }
        tokio::select! {
            report = &mut join => return report,
            () = signals.next() => handle.drain_within(std::time::Duration::ZERO),
        }
        join.await
    }
}

fn cannot_catch(pipeline: &Pipeline, error: io::Error) -> BuildError {
    let stage: StageName = pipeline.settings.name.clone();
    let source: BoxError = error.into();
    BuildError::Open { stage, source }
}
