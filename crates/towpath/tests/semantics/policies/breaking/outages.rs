//! A backend that is down: what it is spared, and what becomes of the messages.

use tokio::time::sleep;
use towpath::{CircuitBreaker, Flow, PolicyStatus, Processor, Retry};
use towpath_test::{TestSource, assert_no_leaks, check};

use super::{Backend, DOWN, HOUR, MINUTE, OPEN, SECOND, UP, changes, ms, policy, retry, touchy};
use crate::events::Events;

/// What may run when it opens, and what may be let out in an hour.
const PROBES_OF_AN_HOUR: usize = 3 * 720;

#[tokio::test(start_paused = true)]
async fn a_virtual_hour_of_a_dead_backend_costs_its_probes_and_loses_nothing() {
    let (source, outcomes) = TestSource::new(0..3000_u64).build();
    let dead = |at| (10 * SECOND..10 * SECOND + HOUR).contains(&at);
    let backend = Backend::new(move |call| if dead(call.at) { DOWN } else { UP }.after(ms(100)));
    let pipeline = Flow::from(source)
        .process(
            Processor::service("work", backend.clone())
                .circuit_breaker(
                    CircuitBreaker::failure_rate(0.5)
                        .over_calls(20)
                        .open_for(OPEN),
                )
                .retry(Retry::exponential(ms(100), 10 * SECOND).seed(1))
                .unordered(16),
        )
        .acknowledge();
    let bound = pipeline.explain().bound();
    let running = pipeline.start().await.unwrap();
    let handle = running.handle().clone();
    sleep(MINUTE).await;
    let (before, asked) = (handle.status().counts, outcomes.demands().len());
    assert!(before.emitted - before.done <= bound);
    for _ in 1..60 {
        let counts = handle.status().counts;
        assert_eq!(
            (counts.emitted, counts.done, counts.high_water),
            (before.emitted, before.done, before.high_water),
            "nothing is fetched, nothing ends and nothing grows"
        );
        sleep(MINUTE).await;
    }
    assert_eq!(outcomes.demands().len(), asked, "the source is left alone");
    let calls = backend.calls_before(10 * SECOND + HOUR) - backend.calls_before(10 * SECOND);
    assert!(calls <= PROBES_OF_AN_HOUR + 16, "{calls}");
    assert!(calls >= 720 - 10, "it was tried all the time: {calls}");
    assert!(
        backend.asked() <= 2 * backend.calls() + 64,
        "nobody asks in between: {} for {}",
        backend.asked(),
        backend.calls()
    );
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    let again = backend
        .all()
        .into_iter()
        .find(|call| call.at >= 10 * SECOND + HOUR);
    let within = again.unwrap().at.saturating_sub(10 * SECOND + HOUR);
    assert!(
        within <= OPEN + ms(200),
        "recovers within one open period: {within:?}"
    );
    assert_eq!((report.counts.done, report.counts.emitted), (3000, 3000));
    let lasted = report.elapsed().saturating_sub(10 * SECOND + HOUR);
    assert!(
        lasted < 30 * SECOND,
        "and works on at full speed: {lasted:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_is_tried_by_its_own_timer_when_nothing_else_happens() {
    for (with_retry, messages) in [(true, 1), (true, 2), (true, 40), (false, 2), (false, 40)] {
        let (source, outcomes) = TestSource::new(0..messages).redelivering(1000).build();
        let backend = Backend::down_for(MINUTE);
        let work = Processor::service("work", backend.clone())
            .circuit_breaker(touchy().min_calls(1))
            .unordered(4);
        let report = if with_retry {
            Flow::from(source)
                .process(work.retry(retry()))
                .acknowledge()
                .run()
                .await
                .unwrap()
        } else {
            Flow::from(source)
                .process(work)
                .acknowledge()
                .run()
                .await
                .unwrap()
        };
        check(&report);
        assert_eq!(outcomes.count("done") as u64, messages);
        let elapsed = report.elapsed();
        assert!(
            (MINUTE..=MINUTE + OPEN + ms(200)).contains(&elapsed),
            "{elapsed:?}"
        );
        let periods = 60 / 5;
        let calls = backend.calls_before(MINUTE);
        assert!((periods..=periods + 4).contains(&calls), "{calls}");
    }
}

#[tokio::test(start_paused = true)]
async fn many_messages_that_wait_for_the_breaker_are_not_all_woken_for_each_probe() {
    let (source, _) = TestSource::new(0..600_u64).build();
    let backend = Backend::down_for(HOUR);
    let pipeline = Flow::from(source)
        .process(
            Processor::service("work", backend.clone())
                .circuit_breaker(
                    CircuitBreaker::failure_rate(1.0)
                        .over_calls(200)
                        .min_calls(200),
                )
                .retry(retry())
                .unordered(200)
                .workers(2),
        )
        .acknowledge();
    let report = pipeline.run().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(report.counts.done, 600);
    let calls = backend.calls_before(HOUR);
    assert!((720..=200 + 2 * 720).contains(&calls), "{calls}");
    assert!(
        backend.asked() <= 2 * backend.calls() + 800,
        "{}",
        backend.asked()
    );
}

#[tokio::test(start_paused = true)]
async fn the_open_time_grows_from_failed_probe_to_failed_probe_up_to_its_bound() {
    let (source, _) = TestSource::new(0..1_u64).build();
    let backend = Backend::down_for(40 * SECOND);
    let growing = touchy()
        .min_calls(1)
        .open_for(SECOND)
        .growing(2.0, 8 * SECOND);
    let report = Flow::from(source)
        .process(
            Processor::service("work", backend.clone())
                .circuit_breaker(growing)
                .retry(retry()),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    let seconds: Vec<_> = backend.times().iter().map(|at| at / 1000).collect();
    assert_eq!(seconds, [0, 1, 3, 7, 15, 23, 31, 39, 47]);
}

#[tokio::test(start_paused = true)]
async fn the_open_time_is_short_again_once_the_breaker_has_closed() {
    let (source, _) = TestSource::new(0..2_u64).build();
    // Down for five calls, up for one, down for two.
    let backend = Backend::new(|call| match call.index {
        5 => UP,
        0..=7 => DOWN,
        _ => UP,
    });
    let growing = touchy().min_calls(1).open_for(SECOND).growing(2.0, HOUR);
    let report = Flow::from(source)
        .process(
            Processor::service("work", backend.clone())
                .circuit_breaker(growing)
                .retry(retry())
                .unordered(1),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    let seconds: Vec<_> = backend.times().iter().map(|at| at / 1000).collect();
    assert_eq!(seconds, [0, 1, 3, 7, 15, 31, 31, 32, 34]);
}

#[tokio::test(start_paused = true)]
async fn slow_calls_open_it_although_they_succeed() {
    let (source, outcomes) = TestSource::new(0..100_u64).build();
    let slow = |at| (2 * SECOND..20 * SECOND).contains(&at);
    let backend =
        Backend::new(move |call| UP.after(if slow(call.at) { 3 * SECOND } else { ms(100) }));
    let events = Events::new();
    let report = Flow::from(source)
        .process(
            Processor::service("work", backend.clone())
                .circuit_breaker(touchy().slow_calls(0.9, SECOND).over_calls(4).min_calls(4))
                .unordered(2),
        )
        .acknowledge()
        .observer(events.observer())
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!(outcomes.count("done"), 100, "a slow answer is an answer");
    assert_eq!(
        changes(&events),
        // Four slow calls by two; then a slow probe each time, and at last a fast one.
        [
            ("open", 8000),
            ("half open", 13_000),
            ("open", 16_000),
            ("half open", 21_000),
            ("closed", 21_100),
        ]
        .map(|(state, at)| (state.to_owned(), at))
    );
}

#[tokio::test(start_paused = true)]
async fn waiting_for_the_backend_costs_no_retry_budget() {
    let (source, _) = TestSource::new(0..50_u64).build();
    let backend = Backend::down_for(HOUR);
    let running = Flow::from(source)
        .process(
            Processor::service("work", backend.clone())
                .circuit_breaker(touchy().min_calls(1).open_for(SECOND).probes(3))
                // One retry per second is paid for: three probes are not.
                .retry(
                    Retry::fixed(ms(100))
                        .attempts(2)
                        .budget(0.0)
                        .budget_at_least(1),
                )
                .unordered(1),
        )
        .acknowledge()
        .start()
        .await
        .unwrap();
    let handle = running.handle().clone();
    let retry = || match policy(&handle, "retry") {
        PolicyStatus::Retry {
            budget_left,
            refused,
            ..
        } => (budget_left, refused),
        other => panic!("{other:?}"),
    };
    let before = retry();
    for _ in 0..60 {
        sleep(MINUTE).await;
        assert_eq!(retry(), before);
    }
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert!(backend.calls_before(HOUR) >= 3600);
    assert_eq!(report.counts.done, 50);
}

#[tokio::test(start_paused = true)]
async fn without_a_retry_what_failed_goes_back_to_the_source_and_comes_again() {
    let (source, outcomes) = TestSource::new(0..100_u64).redelivering(10_000).build();
    let backend = Backend::new(|call| if call.at < HOUR { DOWN } else { UP }.after(ms(10)));
    let running = Flow::from(source)
        .process(
            Processor::service("work", backend.clone())
                .circuit_breaker(touchy())
                .unordered(2),
        )
        .acknowledge()
        .start()
        .await
        .unwrap();
    sleep(MINUTE).await;
    let handle = running.handle().clone();
    let before = handle.status().counts;
    sleep(58 * MINUTE).await;
    let after = handle.status().counts;
    let again = after.emitted - before.emitted;
    assert!(
        again <= 720,
        "what comes again is what failed as a probe: {again}"
    );
    assert_eq!((after.rejected, after.high_water), (1, before.high_water));
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(
        outcomes.count("rejected"),
        1,
        "the first, which failed when it was closed"
    );
    assert_eq!(outcomes.count("done"), 99);
    assert_eq!(outcomes.count("retried"), backend.calls_before(HOUR) - 1);
}
