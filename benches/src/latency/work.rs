//! What the workers of a probed pipeline do with a message.

use std::time::Duration;

use tokio::time::sleep;

use crate::latency::{Samples, Stamped};

/// Workers of a probed pipeline.
pub(super) const WORKERS: usize = 4;

/// The handler of a probe.
#[derive(Debug, Clone, Copy)]
pub enum Work {
    /// Ready at once.
    Ready,
    /// The first worker waits so long for each message, the others are ready at once.
    OneSlowWorker(Duration),
    /// Every message is a call that lasts so long.
    Call(Duration),
}

// === impl Work ===

impl Work {
    /// Handles one message in the worker of that number.
    pub async fn handle(self, worker: usize, message: Stamped, samples: &Samples) -> Stamped {
        match self {
            Self::OneSlowWorker(time) if worker == 0 => {
                samples.was_slow(message.id);
                sleep(time).await;
            }
            Self::Call(time) => sleep(time).await,
            Self::Ready | Self::OneSlowWorker(_) => {}
        }
        message
    }
}
