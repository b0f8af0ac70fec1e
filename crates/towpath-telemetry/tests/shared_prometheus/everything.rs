//! A pipeline that uses all that there are metrics for.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::SeqCst},
};

use tokio::time::sleep;
use towpath::{
    Batcher, BoxError, CircuitBreaker, Deadline, Dedup, Failure, Fallback, Flow, Hedge, Pipeline,
    Processor, RateLimit, Retry,
};
use towpath_test::{Recorder, TestSource};

use crate::ms;

/// Runs until it is told to stop, at some hundred messages a second.
pub(crate) fn everything() -> Pipeline {
    let (source, _) = TestSource::new(0..10_000_000_u64).redelivering(2).build();
    let calls = Arc::new(AtomicU64::new(0));
    let guarded = Processor::new("guarded", move |n: u64| {
        trouble(n, calls.fetch_add(1, SeqCst))
    })
    .unordered(16)
    .rate_limit(RateLimit::per_second(400))
    .timeout(ms(100))
    .circuit_breaker(CircuitBreaker::failure_rate(0.9).slow_calls(0.9, ms(90)))
    .retry(Retry::fixed(ms(5)).attempts(2).budget(0.5))
    .hedge(Hedge::after(ms(50)))
    .fallback(Fallback::value(7_u64))
    .dedup(Dedup::by_key(|n: &u64| n / 2))
    .deadline(Deadline::after(ms(500)));
    let select = Processor::new("select", |n: u64| async move {
        match n % 20 {
            0 => Err(BoxError::from("rejected")),
            1 => Err(Failure::drop("not needed").into()),
            2 => Err(Failure::retry("later").into()),
            _ => Ok(n),
        }
    });
    Flow::from(source)
        .process(select)
        .process(guarded)
        .tee("copy", |copies| {
            copies
                .required("main", |flow| {
                    let batcher = Batcher::new("collect").max_messages(10).max_wait(ms(20));
                    let weighed = batcher.max_weight(1000, |_: &u64| 8);
                    flow.batch(weighed).sink(Recorder::new().sink("write"))
                })
                .best_effort("side", |flow| flow.sink(Recorder::new().sink("look")))
        })
        .dead_letter(Recorder::new().sink("letters"))
        .named("everything")
}

/// Fails, panics or hangs now and then; for some messages always, however the calls fall.
async fn trouble(n: u64, call: u64) -> Result<u64, BoxError> {
    assert!(call % 40 != 3, "a panic on cue");
    if n % 20 == 10 {
        return Err("never answers".into());
    }
    match call % 20 {
        4 => sleep(ms(60)).await,
        5 => sleep(ms(200)).await,
        6 | 7 => return Err("fails now and then".into()),
        _ => {}
    }
    Ok(n)
}
