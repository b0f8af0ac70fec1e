//! The runtimes that the cases run in.

use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// A run that lasts longer hangs: the longest takes a few seconds, under callgrind too.
const PATIENCE: Duration = Duration::from_secs(60);

/// Two workers: what wall and CPU time are measured in.
///
/// # Errors
/// Fails when the system gives no threads.
pub fn two_workers() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
}

/// One thread: what instructions and allocations are counted in.
///
/// # Errors
/// Fails when the system gives no event queue.
pub fn one_thread() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Runs `work` as a task of a worker and waits for it.
///
/// The thread that calls `block_on` is no worker: work done there would pay for every
/// wake from one and make the case look slow.
///
/// # Panics
/// Panics when `work` does, or does not end within a minute.
pub fn on_worker<T: Send + 'static>(
    runtime: &Runtime,
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    let mut tasks = JoinSet::new();
    let bounded = async { timeout(PATIENCE, work).await };
    tasks.spawn_on(bounded, runtime.handle());
    let joined = runtime
        .block_on(tasks.join_next())
        .expect("one task was spawned");
    let ended = joined.expect("a case does not panic");
    ended.expect("a case ends within a minute")
}
