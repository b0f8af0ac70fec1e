//! The figures of pipelines on their way to a collector.

mod encode;
mod starts;

use std::sync::Arc;

use bytes::Bytes;
use opentelemetry_proto::{
    tonic::collector::metrics::v1::ExportMetricsServiceResponse,
    transform::common::tonic::ResourceAttributesWithSchema,
};
use prost::Message;
use tokio::{runtime::Handle, sync::Notify, time::sleep};

use self::starts::Starts;
use super::{queue::Queue, worker::Signal};
use crate::{Monitor, metrics};

/// Puts all figures into a queue from time to time.
pub(super) struct Figures {
    monitor: Monitor,
    /// The runtime whose figures are wanted: not the one that sends.
    runtime: Option<Handle>,
    resource: ResourceAttributesWithSchema,
    starts: Starts,
}

/// Requests that are ready to be sent.
#[derive(Debug)]
pub(super) struct FigureSignal;

/// When something was, in nanoseconds since 1970.
#[expect(clippy::disallowed_types, reason = "figures carry wall time")]
fn unix_nanos() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos().try_into().unwrap_or(u64::MAX))
}

// === impl Figures ===

impl Figures {
    pub(super) fn new(
        monitor: Monitor,
        runtime: Option<Handle>,
        resource: ResourceAttributesWithSchema,
    ) -> Self {
        Self {
            monitor,
            runtime,
            resource,
            starts: Starts::new(unix_nanos()),
        }
    }

    /// Until it is told to stop; then once more, and closes the queue.
    pub(super) async fn push(mut self, queue: &Queue<Bytes>, stop: Arc<Notify>) {
        loop {
            let last = tokio::select! {
                () = stop.notified() => true,
                () = sleep(queue.pace().delay) => false,
            };
            queue.put(self.request());
            if last {
                queue.close();
                return;
            }
        }
    }

    fn request(&mut self) -> Bytes {
        let now = unix_nanos();
        let statuses = self.monitor.statuses();
        self.starts.note(&statuses, now);
        // Not the runtime of this thread.
        let runtime = self.runtime.as_ref().map(|runtime| {
            let _entered = runtime.enter();
            metrics::runtime()
        });
        let families = self
            .monitor
            .families_of(&statuses, runtime.unwrap_or_default());
        let request = encode::request(families, &self.resource, &self.starts, now);
        request.encode_to_vec().into()
    }
}

impl Signal for FigureSignal {
    type Item = Bytes;

    /// One at a time.
    fn encode(&self, mut requests: Vec<Bytes>) -> Bytes {
        requests.pop().unwrap_or_default()
    }

    /// A push that is not wanted whole counts as refused.
    fn refused(&self, answer: Bytes) -> (u64, String) {
        let answer = ExportMetricsServiceResponse::decode(answer).unwrap_or_default();
        let partial = answer.partial_success.unwrap_or_default();
        let refused = partial.rejected_data_points > 0;
        (refused.into(), partial.error_message)
    }
}

#[cfg(test)]
mod tests;
