//! How long there is still time.

use std::thread;
use std::time::Duration;

use tokio::time::Instant;

/// What is asked again and again is asked this often.
const PAUSE: Duration = Duration::from_millis(5);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

// === impl Deadline ===

impl Deadline {
    pub(crate) fn after(within: Duration) -> Self {
        Self(Instant::now() + within)
    }

    /// Asks until there is an answer; `None` when there is none in time.
    pub(crate) fn poll<T>(self, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
        loop {
            let answer = ask();
            if answer.is_some() || Instant::now() >= self.0 {
                return answer;
            }
            thread::sleep(PAUSE);
        }
    }
}
