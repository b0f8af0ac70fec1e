//! Sends what waits in a queue, batch by batch.

use bytes::Bytes;

use super::{
    exporter::{Exporter, Outage},
    queue::Queue,
    transport::SendError,
};

/// What the spans, log records and figures of a signal look like to a collector.
pub(super) trait Signal {
    /// What waits in its queue.
    type Item;

    /// The request that carries them.
    fn encode(&self, items: Vec<Self::Item>) -> Bytes;

    /// How many of them the collector did not want, by its answer, and why.
    fn refused(&self, answer: Bytes) -> (u64, String);
}

/// Sends until the queue is closed and empty.
///
/// Cancel safe: what is on its way counts as cut off.
pub(super) async fn work<S: Signal>(signal: S, queue: &Queue<S::Item>, exporter: &Exporter) {
    let mut outage = Outage::default();
    loop {
        queue.due().await;
        let Some(mut batch) = queue.take() else {
            if queue.is_closed() {
                return;
            }
            continue;
        };
        let request = signal.encode(batch.items());
        let in_a_hurry = || queue.is_closed();
        let answer = exporter.export(request, queue.pace().timeout, in_a_hurry);
        let answer = answer.await;
        outage.note(exporter, answer.as_ref().err());
        match answer {
            Ok(answer) => {
                let (count, reason) = signal.refused(answer);
                outage.note_refused(exporter, count, &reason);
                batch.sent(count);
            }
            Err(SendError::Unwanted { .. }) => batch.lost(|counts| &mut counts.unwanted),
            Err(error) => {
                batch.lost(|counts| &mut counts.failed);
                if queue.is_closed() && error.is_silence() {
                    // Nobody is there: the rest would only wait for the deadline.
                    queue.abandon(|counts| &mut counts.failed);
                }
            }
        }
    }
}
