//! Half-open: real messages are the probes.

use tokio::time::sleep;
use towpath::{CircuitBreaker, Flow, Processor, Timeout, core::BreakerState};
use towpath_test::{TestSource, assert_no_leaks, check};

use super::{
    Backend, DOWN, HOUR, MINUTE, OPEN, SECOND, UP, breaker, changes, ms, retry, states, touchy,
};
use crate::events::Events;

fn said(changes: &[(&str, u128)]) -> Vec<(String, u128)> {
    let owned = |(state, at): &(&str, u128)| ((*state).to_owned(), *at);
    changes.iter().map(owned).collect()
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_opens_it_again_though_others_succeeded() {
    let (source, outcomes) = TestSource::new(0..30_u64).build();
    // Two that open it; a good probe and a bad one, three times over; then all are good.
    let backend = Backend::new(|call| match call.index {
        0 | 1 | 3 | 5 | 7 => DOWN,
        _ => UP,
    });
    let events = Events::new();
    let report = Flow::from(source)
        .process(
            Processor::service("work", backend.clone())
                .circuit_breaker(touchy().probes(2))
                .retry(retry())
                .unordered(4),
        )
        .acknowledge()
        .observer(events.observer())
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!(outcomes.count("done"), 30);
    let mut all = ["open", "half open"].repeat(4);
    all.push("closed");
    assert_eq!(states(&events), all);
}

#[tokio::test(start_paused = true)]
async fn results_of_calls_from_before_it_opened_say_nothing_to_a_breaker_that_is_half_open() {
    for stale_fails in [true, false] {
        let (source, outcomes) = TestSource::new(0..20_u64).build();
        let backend = Backend::new(move |call| match call.index {
            // Let through while it was closed, it ends while a probe is out.
            0 if stale_fails => DOWN.after(7 * SECOND),
            0 => UP.after(7 * SECOND),
            1 | 2 => DOWN,
            3 => UP.after(10 * SECOND),
            _ => UP,
        });
        let events = Events::new();
        let report = Flow::from(source)
            .process(
                Processor::service("work", backend.clone())
                    .circuit_breaker(touchy())
                    .retry(retry())
                    .unordered(4),
            )
            .acknowledge()
            .observer(events.observer())
            .run()
            .await
            .unwrap();
        check(&report);
        assert_eq!(outcomes.count("done"), 20);
        let changes = changes(&events);
        let all = [("open", 0), ("half open", 5000), ("closed", 15_000)];
        assert_eq!(changes, said(&all), "whether it fails: {stale_fails}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_hangs_opens_it_again_and_those_that_wait_go_on_without_it() {
    let (source, outcomes) = TestSource::new(0..100_u64).build();
    let backend = Backend::new(|call| match call.index {
        0 | 1 => DOWN,
        2 => UP.after(HOUR),
        _ => UP,
    });
    let events = Events::new();
    let running = Flow::from(source)
        .process(
            Processor::service("work", backend.clone())
                .circuit_breaker(touchy().half_open_for(30 * SECOND))
                .retry(retry())
                .unordered(4),
        )
        .acknowledge()
        .observer(events.observer())
        .start()
        .await
        .unwrap();
    sleep(MINUTE).await;
    let all = [
        ("open", 0),
        ("half open", 5000),
        ("open", 35_000),
        ("half open", 40_000),
        ("closed", 40_000),
    ];
    assert_eq!(changes(&events), said(&all));
    assert_eq!(outcomes.count("done"), 99, "all but the one that hangs");
    assert_eq!(backend.running(), 1);
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(outcomes.count("done"), 100);
    assert_eq!(
        changes(&events).len(),
        all.len(),
        "its answer came too late to count"
    );
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_hangs_costs_no_more_than_one_that_fails() {
    let (source, outcomes) = TestSource::new(0..500_u64).build();
    let backend = Backend::new(|call| UP.after(if call.at < HOUR { HOUR } else { ms(10) }));
    let report = Flow::from(source)
        .process(
            Processor::service("work", backend.clone())
                .circuit_breaker(CircuitBreaker::failure_rate(0.5).open_for(OPEN))
                .timeout(Timeout::after(2 * SECOND))
                .rate_limit(towpath::RateLimit::per_second(50).burst(50))
                .retry(retry())
                .unordered(16),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!(outcomes.count("done"), 500);
    // A probe takes two seconds to fail, so that a period is seven.
    let calls = backend.calls_before(HOUR);
    assert!(calls <= 16 + 3 * 3600 / 7 + 3, "{calls}");
    assert!(report.elapsed() < HOUR + OPEN + 2 * SECOND + 15 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn no_more_probes_run_at_once_than_are_let_out_and_so_many_must_succeed() {
    let (source, outcomes) = TestSource::new(0..300_u64).build();
    let backend = Backend::new(|call| match call.index {
        0..20 => DOWN,
        _ => UP.after(SECOND),
    });
    let events = Events::new();
    let running = Flow::from(source)
        .process(
            Processor::service("work", backend.clone())
                .circuit_breaker(
                    touchy()
                        .over_calls(20)
                        .min_calls(20)
                        .probes(3)
                        .probe_successes(7),
                )
                .retry(retry())
                .unordered(20)
                .workers(4),
        )
        .acknowledge()
        .observer(events.observer())
        .start()
        .await
        .unwrap();
    let handle = running.handle().clone();
    sleep(OPEN + ms(500)).await;
    for (at, state, begun, runs) in [
        (0, BreakerState::HalfOpen, 3, 3),
        (1, BreakerState::HalfOpen, 6, 3),
        (2, BreakerState::HalfOpen, 9, 3),
        (3, BreakerState::Closed, 29, 20),
    ] {
        assert_eq!(breaker(&handle), (state, 1), "after {at} s");
        assert_eq!(
            (backend.calls() - 20, backend.running()),
            (begun, runs),
            "after {at} s"
        );
        sleep(SECOND).await;
    }
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(outcomes.count("done"), 300);
    let all = [("open", 0), ("half open", 5000), ("closed", 8000)];
    assert_eq!(changes(&events), said(&all));
}

#[tokio::test(start_paused = true)]
async fn a_probe_does_not_wait_behind_those_that_wait_for_the_breaker() {
    // One slot: those that wait for it have a leave from before the breaker opened.
    let (source, outcomes) = TestSource::new(0..50_u64).build();
    let backend = Backend::new(|call| if call.at < MINUTE { DOWN } else { UP }.after(ms(500)));
    let report = Flow::from(source)
        .process(
            Processor::service("work", backend.clone())
                .circuit_breaker(touchy().over_calls(8).min_calls(8))
                .retry(retry())
                .unordered(1)
                .workers(1),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!(outcomes.count("done"), 50);
    let after = backend.all().into_iter().find(|call| call.at >= MINUTE);
    let within = after.unwrap().at.saturating_sub(MINUTE);
    assert!(within <= OPEN + SECOND, "{within:?}");
    assert!(report.elapsed() <= MINUTE + OPEN + SECOND + 50 * ms(500));
}

#[tokio::test(start_paused = true)]
async fn a_probe_does_not_wait_for_the_turn_of_those_that_wait_for_the_breaker() {
    let (source, outcomes) = TestSource::new(0..50_u64).build();
    let backend = Backend::new(|call| if call.at < MINUTE { DOWN } else { UP }.after(ms(2500)));
    let report = Flow::from(source)
        .process(
            Processor::service("work", backend.clone())
                .circuit_breaker(touchy())
                // Many are in line for a token when it opens.
                .rate_limit(towpath::RateLimit::per_second(1).burst(1))
                .retry(retry())
                .unordered(8)
                .workers(4),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!(outcomes.count("done"), 50);
    let times = backend.times();
    let gaps = times.windows(2).map(|two| two[1] - two[0]);
    let longest = gaps.max().unwrap();
    assert!(
        longest <= 8500,
        "one open period, one probe, one token: {longest} of {times:?}"
    );
}
