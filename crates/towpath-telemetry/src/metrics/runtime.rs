//! The figures of the tokio runtime that asks.

use std::time::Duration;

use tokio::runtime::{Handle, RuntimeMetrics};

use super::{Family, Value, catalog};

/// The figures of the current tokio runtime; nothing outside of one.
pub fn runtime() -> Vec<Family> {
    Handle::try_current().map_or_else(|_| Vec::new(), |handle| read(&handle.metrics()))
}

fn read(runtime: &RuntimeMetrics) -> Vec<Family> {
    let workers = runtime.num_workers();
    let busy: Duration = (0..workers)
        .map(|worker| runtime.worker_total_busy_duration(worker))
        .sum();
    let parks = (0..workers)
        .map(|worker| runtime.worker_park_count(worker))
        .sum();
    let count = |size: usize| Value::Count(size as u64);
    vec![
        Family::single(&catalog::TOKIO_WORKERS, count(workers)),
        Family::single(
            &catalog::TOKIO_ALIVE_TASKS,
            count(runtime.num_alive_tasks()),
        ),
        Family::single(
            &catalog::TOKIO_QUEUE_DEPTH,
            count(runtime.global_queue_depth()),
        ),
        Family::single(&catalog::TOKIO_BUSY, Value::Number(busy.as_secs_f64())),
        Family::single(&catalog::TOKIO_PARKS, Value::Count(parks)),
    ]
}
