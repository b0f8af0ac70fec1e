//! The service: a bad one, on purpose.

use std::future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use towpath::BoxError;
use towpath::policy::HttpStatus;

use crate::cli::Cli;

/// Of a hundred orders that it gets, one is refused for good. Of a hundred calls, five fail, one is
/// never answered, and the others take up to five milliseconds. And it is down now and then.
pub(crate) struct Backend {
    seed: u64,
    up: Duration,
    down: Duration,
    since: Instant,
    pub(crate) calls: AtomicU64,
    pub(crate) calls_while_down: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) answered: AtomicU64,
}

// === impl Backend ===

impl Backend {
    pub(crate) fn new(cli: &Cli) -> Self {
        let (up, down) = cli.up_and_down();
        Self {
            seed: cli.seed,
            up,
            down,
            since: Instant::now(),
            calls: AtomicU64::new(0),
            calls_while_down: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            answered: AtomicU64::new(0),
        }
    }

    /// Answers an order with its number.
    ///
    /// # Errors
    /// Says as an HTTP status what is wrong, or that there is no connection.
    pub(crate) async fn call(&self, order: u64) -> Result<u64, BoxError> {
        let call = self.calls.fetch_add(1, Relaxed);
        if self.is_down() {
            self.calls_while_down.fetch_add(1, Relaxed);
            return Err(io::Error::from(io::ErrorKind::ConnectionRefused).into());
        }
        if self.chance(("order", order), 100) == 0 {
            self.refused.fetch_add(1, Relaxed);
            return Err(HttpStatus(404).into());
        }
        match self.chance(("call", call), 100) {
            0 => future::pending().await,
            1..=5 => return Err(HttpStatus(500).into()),
            _ => sleep(Duration::from_millis(self.chance(("delay", call), 5))).await,
        }
        self.answered.fetch_add(1, Relaxed);
        Ok(order)
    }

    fn is_down(&self) -> bool {
        let period = (self.up + self.down).as_millis().max(1);
        !self.down.is_zero() && self.since.elapsed().as_millis() % period >= self.up.as_millis()
    }

    /// A number below `below` that is the same for the same thing and seed.
    fn chance(&self, of: impl Hash, below: u64) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, of).hash(&mut hasher);
        hasher.finish() % below
    }
}
