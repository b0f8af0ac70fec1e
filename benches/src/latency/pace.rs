//! A source on a thread of its own that emits bursts on time and stamps each message.
//!
//! Not a task: tokio's timers are a millisecond coarse, which is as long as what is measured.

use std::io;
use std::thread;
use std::time::Duration;

use async_channel::{Receiver, Sender, bounded};
use tokio::time::Instant;

/// Messages that wait for the pipeline at most.
const QUEUE: usize = 1024;

/// A message that knows when its source had it.
#[derive(Debug, Clone, Copy)]
pub struct Stamped {
    /// Position in the source, from zero.
    pub id: u32,
    /// When it left the source.
    pub sent: Instant,
}

/// What a pipeline reads from; also a `Stream`. Ends when the source is done.
pub type Feed = Receiver<Stamped>;

/// When messages come.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Messages that come together.
    pub burst: u32,
    /// Time from burst to burst.
    pub every: Duration,
    /// Number of bursts.
    pub bursts: u32,
}

// === impl Pace ===

impl Pace {
    /// Starts the source; its thread ends with the last burst or with the feed.
    ///
    /// # Errors
    /// Fails when the system gives no thread.
    pub fn start(self) -> io::Result<(Feed, thread::JoinHandle<()>)> {
        let (sender, feed) = bounded(QUEUE);
        let source = thread::Builder::new().name("bench-pace".into());
        Ok((feed, source.spawn(move || self.emit(&sender))?))
    }

    fn emit(self, sender: &Sender<Stamped>) {
        let start = Instant::now();
        for burst in 0..self.bursts {
            thread::sleep((start + self.every * burst).saturating_duration_since(Instant::now()));
            for place in 0..self.burst {
                let id = burst * self.burst + place;
                let sent = Instant::now();
                let message = Stamped { id, sent };
                if sender.send_blocking(message).is_err() {
                    return;
                }
            }
        }
    }

    /// Messages in all.
    pub fn messages(self) -> u32 {
        self.burst * self.bursts
    }
}
