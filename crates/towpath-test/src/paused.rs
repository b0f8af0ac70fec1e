//! Paused time, for tests that bring no runtime of their own.

use tokio::runtime::Builder;

/// Runs a test on paused time: whenever everything waits, the clock jumps to the next timer.
///
/// For property tests and examples; elsewhere, `#[tokio::test(start_paused = true)]` does it.
///
/// ```
/// use std::time::Duration;
/// use tokio::time::{Instant, sleep};
///
/// let slept = towpath_test::paused(async {
///     let begun = Instant::now();
///     sleep(Duration::from_secs(3600)).await;
///     begun.elapsed()
/// });
/// assert_eq!(slept, Duration::from_secs(3600));
/// ```
///
/// # Panics
/// Panics inside another runtime, and where the system refuses a new one.
pub fn paused<F: Future>(test: F) -> F::Output {
    let mut runtime = Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build();
    runtime
        .expect("a runtime without threads can be built")
        .block_on(test)
}
