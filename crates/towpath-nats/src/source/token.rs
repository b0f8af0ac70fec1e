//! What is kept of a delivery until its outcome is known.

use std::{
    hash::{Hash, Hasher},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::Subject;
use tokio::time::Instant;
use towpath_connector::Held;

/// What the source needs to settle one message.
#[derive(Debug)]
pub struct JetStreamToken(pub(super) Held<Lent>);

/// A message as the server has lent it to this process: one delivery of it.
#[derive(Clone, Debug)]
pub(super) struct Lent(Arc<Delivered>);

#[derive(Debug)]
struct Delivered {
    /// Where the server wants to hear the outcome.
    reply: Subject,
    ack_wait: Duration,
    /// From when on the server waits.
    since: Mutex<Instant>,
}

impl Lent {
    pub(super) fn new(reply: Subject, ack_wait: Duration, since: Instant) -> Self {
        Self(Arc::new(Delivered {
            reply,
            ack_wait,
            since: Mutex::new(since),
        }))
    }

    pub(super) fn reply(&self) -> &Subject {
        &self.0.reply
    }

    /// Whether the server may have given the message to somebody else.
    pub(super) fn has_run_out(&self) -> bool {
        let since = self.0.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.elapsed() >= self.0.ack_wait
    }

    /// The server has confirmed that it heard at this time or later that work goes on.
    pub(super) fn extended(&self, at: Instant) {
        *self.0.since.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }
}

/// One delivery is the same as itself only.
impl PartialEq for Lent {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Lent {}

impl Hash for Lent {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}
