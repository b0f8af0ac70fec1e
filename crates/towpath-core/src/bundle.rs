//! A batch with the receipts of its messages, on its way to a sink worker.

use std::sync::{Arc, Mutex};

use crate::{Batch, BatchInfo, Message, Receipt, ledger::lock};

/// How many emptied buffers a pool keeps.
const POOLED: usize = 16;

/// Messages that go to a sink together; dropping it gives every one back.
#[derive(Debug)]
pub struct Bundle<T> {
    messages: Vec<Message<T>>,
    info: BatchInfo,
    pool: Option<Arc<Pool<T>>>,
}

/// Emptied buffers of bundles, on their way back to the batcher.
#[derive(Debug)]
pub struct Pool<T>(Mutex<Vec<Vec<Message<T>>>>);

impl<T> Bundle<T> {
    /// Messages, and what is known of them together.
    pub fn new(messages: Vec<Message<T>>, info: BatchInfo) -> Self {
        Self {
            messages,
            info,
            pool: None,
        }
    }

    /// Gives the emptied buffer back to `pool`.
    #[must_use]
    pub fn pooled(mut self, pool: Arc<Pool<T>>) -> Self {
        self.pool = Some(pool);
        self
    }

    /// How many messages it holds.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Makes the batch for the sink; the receipts go to `receipts`, in the same order.
    ///
    /// Tells where the messages came from only `with_origins`, and if any source knows.
    pub fn split(mut self, receipts: &mut Vec<Receipt>, with_origins: bool) -> Batch<T> {
        let mut items = Vec::with_capacity(self.messages.len());
        for message in self.messages.drain(..) {
            let (payload, receipt) = message.into_parts();
            items.push(payload);
            receipts.push(receipt);
        }
        if let Some(pool) = &self.pool {
            pool.put(self.messages);
        }
        let known = || receipts.iter().any(Receipt::has_origin);
        let origins = if with_origins && known() {
            receipts.iter().map(Receipt::origin).collect()
        } else {
            Vec::new()
        };
        Batch::new(items, origins, self.info)
    }
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Pool<T> {
    /// Takes an emptied buffer.
    pub fn take(&self) -> Option<Vec<Message<T>>> {
        lock(&self.0).pop()
    }

    fn put(&self, buffer: Vec<Message<T>>) {
        let mut pool = lock(&self.0);
        if pool.len() < POOLED {
            pool.push(buffer);
        }
    }
}
