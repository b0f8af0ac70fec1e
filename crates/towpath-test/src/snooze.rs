//! Nothing is snoozed: a suite for your own handlers, layers and sinks.
//!
//! A future that was polled once, asked for a wake-up and got it, must be polled again.
//! Where its owner waits for something else instead, it is *snoozed*: neither cancelled nor
//! starved. The locks, semaphores and channels of tokio are fair: they grant the next turn to
//! the head of their queue even if nobody polls it, and everybody behind it waits for ever.
//! `StreamExt::buffered` snoozes the calls in flight while the loop body runs.
//!
//! Each function here builds a pipeline with something shared, runs it, and says whether
//! anything was snoozed. Put what is shared wherever your own code awaits: in handlers, in
//! layers, in batch functions, in sinks, in acknowledgers.
//!
//! ```
//! use towpath::{BoxError, Flow, Processor, each};
//! use towpath_test::{TestSource, snooze};
//!
//! # towpath_test::paused(async {
//! let report = snooze::shared_lock(|touch| {
//!     let (numbers, _) = TestSource::of(0..500);
//!     let handler = touch.clone();
//!     Flow::from(numbers)
//!         .process(Processor::new("touch", move |n: u32| {
//!             let touched = handler.touch();
//!             async move {
//!                 touched.await;
//!                 Ok::<_, BoxError>(n)
//!             }
//!         }).unordered(10).workers(1))
//!         .sink(each("sink", move |_| {
//!             let touched = touch.touch();
//!             async move {
//!                 touched.await;
//!                 Ok::<_, BoxError>(())
//!             }
//!         }))
//!         .max_demand(1)
//! })
//! .await
//! .expect("nothing is snoozed");
//! assert_eq!(report.counts.done, 500);
//! # });
//! ```
//!
//! | | shared | fails on `buffered` because |
//! |-|-|-|
//! | T1 [`shared_lock`] | a lock of handlers and what is behind them | the lock is granted to a snoozed call |
//! | T2 [`small_pool`] | a pool of five connections | the same, of five |
//! | T3 [`narrow_channel`] | a channel of one place | the place is granted to a snoozed call |
//! | T4 [`false_timeouts`] | nothing: each call has a timeout | a snoozed call cannot end in time |
//! | T5 [`quiet_source`] | nothing: a message every 100 ms | a result waits for the next message |
//! | T6 [`timed_out_holder`], [`stopped_holder`] | a lock, held by a call that hangs | the call is given up and not dropped |
//! | T7 [`idle_cost`] | nothing: each call takes long | waiting costs threads, time or wake-ups |
//!
//! All but T7 want paused time: `#[tokio::test(start_paused = true)]`. Two limits: what a
//! stream does inside, as a source, sleeps while there is no demand for it; and a future
//! that your own handler selects by reference is yours to poll.

mod calls;
mod holder;
mod idle;
mod notes;
mod quiet;
mod subject;
mod touch;

use std::time::Duration;

use tokio::time::{Instant, timeout};
use towpath::{BuildError, Report, RunError, Running, Status, core::invariants::Violation};

use crate::check::laws;

pub use calls::{Calls, false_timeouts};
pub use holder::{stopped_holder, timed_out_holder};
pub use idle::{IdleCall, IdleCost, IdleMeter, idle_cost};
pub use notes::{Notes, narrow_channel};
pub use quiet::{Work, quiet_source};
pub use subject::Subject;
pub use touch::{Touch, shared_lock, small_pool};

/// What takes longer hangs.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// Something was snoozed, or the pipeline never got that far.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Snoozed {
    /// The pipeline did not start.
    #[error("the pipeline did not start")]
    Start(#[from] BuildError),
    /// The pipeline was dropped before it ended.
    #[error("the pipeline was dropped")]
    Run(#[from] RunError),
    /// It hangs.
    #[error("the pipeline hangs: {status:?}")]
    Hung {
        /// What it came to.
        status: Box<Status>,
    },
    /// It ended, and took longer than what is shared was in use.
    #[error("it took {took:?} where {limit:?} is enough")]
    Slow {
        /// How long it took.
        took: Duration,
        /// How long is enough.
        limit: Duration,
    },
    /// So few messages that the buffers hold them all: that shows nothing.
    #[error("{messages} messages show nothing: the buffers hold {bound}")]
    TooFew {
        /// How many messages there were.
        messages: u64,
        /// How many the buffers hold.
        bound: u64,
    },
    /// What is shared was never used: that shows nothing.
    #[error("what is shared was used {times} times: that shows nothing")]
    Unused {
        /// How often it was used.
        times: u64,
    },
    /// Calls that had time enough were timed out.
    #[error("{timeouts} calls were timed out, {failed} messages failed")]
    TimedOut {
        /// Calls that ran out of time.
        timeouts: u64,
        /// Messages that were not done.
        failed: u64,
    },
    /// Waiting costs too much.
    #[error("waiting costs too much: {0:?}")]
    Costly(IdleCost),
    /// The run broke a law of the engine.
    #[error("the run broke a law")]
    Unlawful(#[from] Violation),
}

/// Runs a subject to its end; tells how long it took.
async fn run<S: Subject>(subject: S) -> Result<(Report, Duration), Snoozed> {
    let (pipeline, beside) = subject.into_parts();
    let begun = Instant::now();
    let running = pipeline.start().await?;
    let handle = running.handle().clone();
    let ending = async { tokio::join!(running.join(), beside).0 };
    let Ok(report) = timeout(PATIENCE, ending).await else {
        return Err(hung(handle.status()));
    };
    let report = report?;
    laws(&report)?;
    Ok((report, begun.elapsed()))
}

/// Waits for the end of a pipeline that was started before.
async fn join(running: Running, within: Duration) -> Result<Report, Snoozed> {
    let handle = running.handle().clone();
    let Ok(report) = timeout(within, running.join()).await else {
        return Err(hung(handle.status()));
    };
    let report = report?;
    laws(&report)?;
    Ok(report)
}

fn hung(status: Status) -> Snoozed {
    Snoozed::Hung {
        status: Box::new(status),
    }
}

/// A test over fewer messages than the buffers hold shows nothing.
fn enough(report: &Report) -> Result<(), Snoozed> {
    let (messages, bound) = (report.counts.emitted, report.bound);
    if messages > bound {
        return Ok(());
    }
    Err(Snoozed::TooFew { messages, bound })
}

fn in_time(took: Duration, limit: Duration) -> Result<(), Snoozed> {
    if took <= limit {
        return Ok(());
    }
    Err(Snoozed::Slow { took, limit })
}
