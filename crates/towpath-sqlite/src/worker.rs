//! A thread that owns a connection, and works on what it is sent.
//!
//! A call costs two wake-ups, of the thread and of the caller. What was sent while it worked
//! comes together, so that it can go into one transaction: the more callers, the fewer waits
//! for the disk.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use async_channel::{Receiver, Sender, bounded};

use crate::connection::Closing;

/// How many jobs may wait for the thread; who sends another one waits.
const WAITING: usize = 256;
/// How many jobs come together at most.
const TOGETHER: usize = 64;

/// What a thread does with its jobs.
pub(crate) trait Engine: 'static {
    /// One job, with the way back to who sent it.
    type Job: Send + 'static;

    /// Does some jobs, at least one, and answers each.
    fn work(&mut self, jobs: Vec<Self::Job>);
}

/// The thread, from outside. Dropped, it ends once what was sent is done, and is waited for.
pub(crate) struct Worker<J> {
    jobs: Sender<J>,
    closing: Closing,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the engine says once it is made, or why it could not be; nothing where there is no
/// thread.
pub(crate) type Opened<I, E> = Receiver<Result<I, E>>;

impl<J: Send + 'static> Worker<J> {
    /// Starts a thread whose engine is made on it.
    pub(crate) fn start<E, I, F>(
        make: impl FnOnce(&Closing) -> Result<(E, I), F> + Send + 'static,
    ) -> (Self, Opened<I, F>)
    where
        E: Engine<Job = J>,
        I: Send + 'static,
        F: Send + 'static,
    {
        let (jobs, todo) = bounded(WAITING);
        let (opened, opening) = bounded(1);
        let closing = Closing::default();
        let closed = closing.clone();
        let thread = thread::Builder::new()
            .name("towpath-sqlite".to_owned())
            .spawn(move || match make(&closed) {
                Ok((engine, said)) => {
                    // Who opened it may have gone: then the jobs end too.
                    opened.try_send(Ok(said)).ok();
                    run(engine, &todo);
                }
                Err(error) => {
                    opened.try_send(Err(error)).ok();
                }
            });
        let worker = Self {
            jobs,
            closing,
            thread: Mutex::new(thread.ok()),
        };
        (worker, opening)
    }

    /// Sends a job; waits while too many are waiting.
    pub(crate) async fn send(&self, job: J) -> Result<(), Gone> {
        self.jobs.send(job).await.map_err(|_| Gone)
    }

    /// The same, and blocks the thread of the caller.
    pub(crate) fn send_blocking(&self, job: J) -> Result<(), Gone> {
        self.jobs.send_blocking(job).map_err(|_| Gone)
    }
}

/// The thread is gone.
#[derive(Debug)]
pub(crate) struct Gone;

fn run<E: Engine>(mut engine: E, todo: &Receiver<E::Job>) {
    while let Ok(first) = todo.recv_blocking() {
        let mut jobs = vec![first];
        while jobs.len() < TOGETHER
            && let Ok(next) = todo.try_recv()
        {
            jobs.push(next);
        }
        engine.work(jobs);
    }
}

impl<J> Drop for Worker<J> {
    fn drop(&mut self) {
        self.jobs.close();
        self.closing.close();
        let thread = self
            .thread
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            // A thread that panicked has said so.
            thread.join().ok();
        }
    }
}

impl<J> fmt::Debug for Worker<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("waiting", &self.jobs.len())
            .finish_non_exhaustive()
    }
}
