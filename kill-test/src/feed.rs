//! Numbered messages, sent by a client of the oracle's own.
//!
//! A number counts as produced once the source has confirmed it. One that it has not confirmed is
//! uncertain: it may arrive or not, and is never sent again.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::payload::Row;

/// How often messages are sent.
const PER_SECOND: u64 = 50;
const PERIOD: Duration = Duration::from_millis(1000 / PER_SECOND);

/// Sends messages to a source.
pub(crate) trait Feed: Send {
    /// Sends them and waits for the confirmations, not for long: says which are confirmed.
    fn send(&mut self, rows: &[Row]) -> Vec<bool>;
}

/// The numbers up to now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    /// So many were tried: 0, 1, 2..
    pub(crate) tried: u64,
    pub(crate) confirmed: BTreeSet<u64>,
}

/// A thread that sends until it is told to stop.
#[derive(Debug)]
pub(crate) struct Feeder {
    stop: Arc<AtomicBool>,
    sent: Arc<Mutex<Sent>>,
    thread: Option<JoinHandle<()>>,
}

// === impl Feeder ===

impl Feeder {
    pub(crate) fn start(mut feed: Box<dyn Feed>, seed: u64, rate: u32) -> Self {
        let (stop, sent) = <(Arc<AtomicBool>, Arc<Mutex<Sent>>)>::default();
        let at_once = u64::from(rate) / PER_SECOND;
        let (told, book) = (stop.clone(), sent.clone());
        let thread = thread::spawn(move || {
            while !told.load(Relaxed) {
                let first = lock(&book).tried;
                let numbers = first..first + at_once;
                let rows: Vec<_> = numbers.map(|number| Row::new(seed, number)).collect();
                lock(&book).tried += at_once;
                let confirmed = feed.send(&rows);
                lock(&book).add(&rows, &confirmed);
                thread::sleep(PERIOD);
            }
        });
        Self {
            stop,
            sent,
            thread: Some(thread),
        }
    }

    /// Sends no more; says what was sent.
    pub(crate) fn stop(mut self) -> Sent {
        self.join();
        lock(&self.sent).clone()
    }

    fn join(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            // It panics only where a feed does: what it has sent by then still counts.
            thread.join().unwrap_or_default();
        }
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        self.join();
    }
}

fn lock(sent: &Mutex<Sent>) -> MutexGuard<'_, Sent> {
    sent.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Sent ===

impl Sent {
    fn add(&mut self, rows: &[Row], confirmed: &[bool]) {
        let confirmed = rows
            .iter()
            .zip(confirmed)
            .filter(|(_, confirmed)| **confirmed);
        self.confirmed.extend(confirmed.map(|(row, _)| row.number));
    }
}
