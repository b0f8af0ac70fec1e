//! A sink that keeps what it sends along with each message.

use std::sync::{Arc, Mutex};

use towpath::core::Peer;
use towpath::{Batch, BoxError, Headers, Sink, Written};

/// A topic of NATS, as far as traces know.
#[derive(Clone, Debug, Default)]
pub(crate) struct Topic(Arc<Mutex<Vec<(u64, Headers)>>>);

impl Topic {
    /// Each message with its headers, in order.
    pub(crate) fn sent(&self) -> Vec<(u64, Headers)> {
        self.0.lock().unwrap().clone()
    }
}

impl Sink<u64> for Topic {
    async fn write(&mut self, batch: Batch<u64>) -> Result<Written, BoxError> {
        let headers = |place| batch.trace(place).unwrap_or_default();
        let messages = batch.iter().copied().enumerate();
        let messages = messages.map(|(place, number)| (number, headers(place)));
        self.0.lock().unwrap().extend(messages);
        Ok(Written::All)
    }

    fn peer(&self) -> Peer {
        Peer::new("nats").destination("invoices")
    }
}
