//! What became of the records of a batch.

use std::{
    fmt, mem,
    sync::{
        Arc, Mutex,
        atomic::{
            AtomicUsize,
            Ordering::{AcqRel, Acquire},
        },
    },
};

use rdkafka::error::RDKafkaErrorCode as Code;
use tokio::sync::Notify;

use crate::lock::lock;

/// The answers to the records of a batch, as they come.
pub(super) struct Deliveries {
    /// A record without an answer is a failure.
    answers: Mutex<Vec<Result<(), Code>>>,
    left: AtomicUsize,
    done: Notify,
}

/// What goes with a record through the client, and comes back with its report.
pub(super) struct Ticket {
    batch: Arc<Deliveries>,
    index: usize,
}

// === impl Deliveries ===

impl Deliveries {
    pub(super) fn new(records: usize) -> Arc<Self> {
        Arc::new(Self {
            answers: Mutex::new(vec![Err(Code::Fail); records]),
            left: AtomicUsize::new(records),
            done: Notify::new(),
        })
    }

    pub(super) fn answer(&self, index: usize, answer: Result<(), Code>) {
        if let Some(place) = lock(&self.answers).get_mut(index) {
            *place = answer;
        }
        if self.left.fetch_sub(1, AcqRel) == 1 {
            self.done.notify_one();
        }
    }

    /// Waits until each record has its answer. The client sees to that, whatever happens.
    pub(super) async fn all(&self) -> Vec<Result<(), Code>> {
        while self.left.load(Acquire) > 0 {
            self.done.notified().await;
        }
        mem::take(&mut *lock(&self.answers))
    }
}

// === impl Ticket ===

impl Ticket {
    pub(super) fn new(batch: &Arc<Deliveries>, index: usize) -> Self {
        let batch = batch.clone();
        Self { batch, index }
    }

    pub(super) fn answer(&self, answer: Result<(), Code>) {
        self.batch.answer(self.index, answer);
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}
