//! Attempts, and what a message waits for between them, are children of its stage's span.

use super::*;
use towpath::producer::IntervalSource;

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

async fn run<S: towpath::core::Stage<i32, Out = i32>>(count: i32, stage: S) -> Traces {
    let (source, _) = TestSource::of(0..count);
    let traces = Traces::new();
    let report = Flow::from(source)
        .process(stage)
        .sink(Recorder::new().sink("kept"))
        .dead_letter(Recorder::new().sink("letters"))
        .telemetry(traces.clone())
        .run()
        .await
        .unwrap();
    assert_no_leaks(&report);
    traces.check(&report);
    traces
}

fn below(traces: &Traces, name: &str) -> Vec<String> {
    let spans = traces.spans();
    let parent = spans.iter().find(|span| span.name == name).unwrap().id;
    let children = spans.iter().filter(|span| span.parent == Some(parent));
    children
        .map(|span| format!("{} ({})", span.name, span.how))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn each_attempt_says_how_it_ended_and_the_waits_between_them_show() {
    let calls = std::sync::Arc::new(AtomicU32::new(0));
    let traces = run(
        1,
        Processor::new("fetch", move |n: i32| {
            let call = calls.fetch_add(1, SeqCst);
            async move {
                match call {
                    0 => sleep(100 * SECOND).await,
                    1 => return Err(BoxError::from(towpath::policy::HttpStatus(429))),
                    _ => {}
                }
                Ok::<_, BoxError>(n)
            }
        })
        .timeout(SECOND)
        .retry(Retry::fixed(2 * SECOND).attempts(3)),
    )
    .await;
    assert_eq!(
        below(&traces, "process fetch"),
        [
            "attempt fetch 1 (timeout)",
            "wait fetch backoff (done)",
            "attempt fetch 2 (429)",
            "wait fetch backoff (done)",
            "attempt fetch 3 (done)",
        ]
    );
    let wait = &traces.named("wait fetch backoff")[0];
    assert_eq!(wait.took(), 2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_the_rate_limit_shows_in_the_trace_of_the_message_that_waited() {
    let traces = run(
        2,
        Processor::new("fetch", |n: i32| async move { Ok::<_, BoxError>(n) })
            .concurrency(1)
            .rate_limit(RateLimit::per_second(1).burst(1)),
    )
    .await;
    let waits = traces.named("wait fetch rate_limit");
    assert_eq!(waits.len(), 1, "{}", traces.tree());
    let waited = waits[0].took();
    assert!(waited > SECOND / 2, "{waited:?}");
    // The stage takes no message before it may work on it.
    let second = &traces.named("process fetch")[1];
    assert_eq!(waits[0].parent, second.parent, "{}", traces.tree());
    assert!(waits[0].end.unwrap() <= second.start);
    let attempts = traces.named("attempt fetch 1");
    assert_eq!(attempts.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_an_open_breaker_refuses_says_so() {
    let broken = Processor::new("fetch", |_: i32| async move { Err::<i32, _>("down") })
        .concurrency(1)
        .retry(
            Retry::fixed(SECOND)
                .attempts(1)
                .classify(towpath::policy::classify_fn(|_| Class::TRANSIENT)),
        )
        .circuit_breaker(CircuitBreaker::failure_rate(0.5).min_calls(1).rejecting());
    let traces = run(2, broken).await;
    let second = traces.named("process fetch").pop().unwrap();
    assert_eq!(second.how, "circuit_breaker_open", "{}", traces.tree());
}

#[tokio::test(start_paused = true)]
async fn code_of_an_attempt_is_in_the_span_of_the_attempt() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(None));
    let noting = seen.clone();
    let traces = run(
        1,
        Processor::new("fetch", move |n: i32| {
            let noting = noting.clone();
            async move {
                sleep(SECOND).await;
                *noting.lock().unwrap() = towpath::trace::current().map(|s| s.id().span);
                Ok::<_, BoxError>(n)
            }
        })
        .timeout(2 * SECOND),
    )
    .await;
    let attempt = traces.named("attempt fetch 1")[0].id;
    assert_eq!(*seen.lock().unwrap(), Some(attempt));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_when_there_is_budget_has_waited_for_none() {
    let traces = Traces::new();
    let ticks = IntervalSource::new(2 * SECOND).limit(3);
    let report = Flow::from(Source::new("ticks", ticks))
        .process(
            Processor::new("fetch", |_| async move { Ok::<_, BoxError>(()) })
                .concurrency(1)
                .rate_limit(RateLimit::per_second(1).burst(1)),
        )
        .sink(Recorder::new().sink("kept"))
        .telemetry(traces.clone())
        .run()
        .await
        .unwrap();
    traces.check(&report);
    assert_eq!(traces.named("attempt fetch 1").len(), 3);
    assert_eq!(
        traces.named("wait fetch rate_limit"),
        [],
        "{}",
        traces.tree()
    );
}
