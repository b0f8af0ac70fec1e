//! The batcher of the peers that use tokio's mpsc.

use std::sync::Arc;

use tokio::sync::mpsc::Receiver;

use crate::message::{Message, Tally};
use crate::service::BATCH;

/// Takes what is there, settles full batches, and the rest at the end.
pub(super) async fn batch(mut messages: Receiver<Message>, tally: Arc<Tally>) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let room = BATCH - batch.len();
        if messages.recv_many(&mut batch, room).await == 0 {
            break;
        }
        if batch.len() == BATCH {
            tally.settle(&batch);
            batch.clear();
        }
    }
    tally.settle(&batch);
}
