//! What a stage holds does not grow.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use tokio::time::sleep;
use towpath::{
    BoxError, Flow, Ingress, Overflow, PipelineHandle, PolicyStatus, Processor, Retry, Source,
    attempt,
};
use towpath_test::assert_no_leaks;

use crate::ms;

const MESSAGES: u64 = 200_000;
const CONCURRENCY: usize = 16;
const PARKED: usize = 256;
/// What the allocator and a run beside this one may account for.
const GROWTH: u64 = 24 << 20;

/// The memory that the process has; unknown elsewhere.
#[cfg(target_os = "linux")]
fn resident() -> Option<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = pages.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096)
}

#[cfg(not(target_os = "linux"))]
fn resident() -> Option<u64> {
    None
}

/// No more is in the stage than may be, and no more of it at work.
fn is_bounded(handle: &PipelineHandle) {
    let status = handle.status();
    assert!(status.counts.in_flight <= status.bound, "{status:?}");
    for policy in handle.policies("work").unwrap() {
        if let PolicyStatus::Concurrency {
            in_use, waiting, ..
        } = policy
        {
            assert!(in_use <= CONCURRENCY, "{in_use} at work");
            assert!(waiting <= CONCURRENCY + PARKED, "{waiting} wait");
        }
    }
}

/// Looks at a run until it ends: the memory at the end of the first quarter, and the most
/// of the last.
async fn watch(handle: &PipelineHandle, done: &AtomicUsize) -> (u64, u64) {
    let (mut first, mut last) = (0, 0);
    let quarter = usize::try_from(MESSAGES / 4).unwrap();
    while handle.phase() != towpath::Phase::Stopped {
        is_bounded(handle);
        let (now, done) = (resident().unwrap_or(0), done.load(SeqCst));
        if done <= quarter {
            first = first.max(now);
        } else if done >= quarter * 3 {
            last = last.max(now);
        }
        sleep(ms(5)).await;
    }
    (first, last)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stage_that_tries_every_message_again_does_not_grow() {
    let (source, ingress) = Ingress::new(NonZeroUsize::new(1024).unwrap(), Overflow::Wait);
    let (done, running) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, at_work) = (done.clone(), running.clone());
    let work = move |n: u64| {
        let (done, running) = (counted.clone(), at_work.clone());
        async move {
            assert!(running.fetch_add(1, SeqCst) < CONCURRENCY);
            tokio::task::yield_now().await;
            running.fetch_sub(1, SeqCst);
            if attempt() == 1 {
                return Err(BoxError::from("fails at first"));
            }
            done.fetch_add(1, SeqCst);
            Ok(n)
        }
    };
    let stage = Processor::new("work", work)
        .retry(Retry::fixed(ms(1)).budget(1000.0))
        .unordered(CONCURRENCY)
        .max_parked(NonZeroUsize::new(PARKED).unwrap());
    let pipeline = Flow::from(Source::new("ingress", source)).process(stage);
    let run = pipeline.acknowledge().start().await.unwrap();
    let handle = run.handle().clone();
    let feed = async {
        for n in 0..MESSAGES {
            ingress.push(n).await.unwrap();
        }
        ingress.close();
    };
    let (report, (), (first, last)) = tokio::join!(run.join(), feed, watch(&handle, &done));
    let report = report.unwrap();
    assert_no_leaks(&report);
    assert_eq!(report.counts.done, MESSAGES, "{report}");
    assert_eq!(running.load(SeqCst), 0);
    println!("{first} bytes in the first quarter, {last} in the last");
    assert!(last <= first + GROWTH, "from {first} to {last} bytes");
}
