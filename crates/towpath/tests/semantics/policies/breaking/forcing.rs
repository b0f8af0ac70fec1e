//! A breaker that is held open or closed by hand.

use tokio::time::{Instant, sleep};
use towpath::{
    EventKind, Flow, ForcedBreaker, Pipeline, PolicyStatus, Processor, core::BreakerState,
};
use towpath_test::{Outcomes, TestSource, assert_no_leaks};

use super::{
    Backend, DOWN, HOUR, MINUTE, OPEN, SECOND, UP, breaker, changes, ms, policy, retry, states,
    touchy,
};
use crate::events::{Events, idle};

fn pipeline(backend: &Backend, events: &Events) -> (Pipeline, Outcomes) {
    let (source, outcomes) = TestSource::new(0..1000_u64).chunk(10).build();
    let pipeline = Flow::from(source)
        .process(
            Processor::service("work", backend.clone())
                .circuit_breaker(touchy())
                .retry(retry())
                .unordered(4)
                .workers(2),
        )
        .acknowledge()
        .max_demand(10)
        .observer(events.observer());
    (pipeline, outcomes)
}

fn forced(handle: &towpath::PipelineHandle) -> ForcedBreaker {
    match policy(handle, "circuit breaker") {
        PolicyStatus::CircuitBreaker { forced, .. } => forced,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn forced_open_it_stops_demand_at_once_and_let_go_it_begins_with_probes() {
    let backend = Backend::new(|_| UP.after(ms(100)));
    let events = Events::new();
    let (pipeline, outcomes) = pipeline(&backend, &events);
    let running = pipeline.start().await.unwrap();
    let handle = running.handle().clone();
    sleep(SECOND + ms(50)).await;
    assert_eq!(backend.running(), 4);
    handle.force_breaker("work", ForcedBreaker::Open).unwrap();
    assert_eq!(forced(&handle), ForcedBreaker::Open);
    assert_eq!(breaker(&handle), (BreakerState::Open, 1));
    let calls = backend.calls();
    sleep(ms(100)).await;
    let (asked, done) = (outcomes.demands().len(), outcomes.count("done"));
    assert_eq!(done, calls, "what ran has ended");
    sleep(3 * HOUR).await;
    assert_eq!(
        (backend.calls(), outcomes.demands().len()),
        (calls, asked),
        "nothing is called and nothing fetched"
    );
    let begun = Instant::now();
    handle.force_breaker("work", ForcedBreaker::Auto).unwrap();
    assert_eq!(breaker(&handle).0, BreakerState::HalfOpen);
    idle().await;
    assert_eq!(backend.calls(), calls + 1, "one probe, at once");
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert!(begun.elapsed() < 30 * SECOND);
    assert_eq!(outcomes.count("done"), 1000);
    assert_eq!(states(&events), ["open", "half open", "closed"]);
    let told = events
        .all()
        .into_iter()
        .filter_map(|event| match event.kind {
            EventKind::BreakerForced { forced } => Some(forced),
            _ => None,
        });
    assert!(told.eq([ForcedBreaker::Open, ForcedBreaker::Auto]));
}

#[tokio::test(start_paused = true)]
async fn forced_closed_it_lets_those_go_that_wait_at_once_and_holds_nobody_up() {
    let backend = Backend::down_for(MINUTE + SECOND);
    let events = Events::new();
    let (pipeline, outcomes) = pipeline(&backend, &events);
    let running = pipeline.start().await.unwrap();
    let handle = running.handle().clone();
    // In the middle of an open period.
    sleep(MINUTE + 2 * SECOND).await;
    assert_eq!(breaker(&handle).0, BreakerState::Open);
    assert_eq!(outcomes.total(), 0);
    let begun = Instant::now();
    handle.force_breaker("work", ForcedBreaker::Closed).unwrap();
    outcomes.wait_for(1000).await;
    assert!(begun.elapsed() < ms(10), "{:?}", begun.elapsed());
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(report.counts.done, 1000);
    assert_eq!(states(&events).last().unwrap(), "closed");
}

#[tokio::test(start_paused = true)]
async fn forced_closed_it_stays_closed_whatever_fails() {
    let backend = Backend::new(|call| if call.n < 500 { DOWN } else { UP });
    let events = Events::new();
    let (pipeline, outcomes) = pipeline(&backend, &events);
    let running = pipeline.start().await.unwrap();
    let handle = running.handle().clone();
    handle.force_breaker("work", ForcedBreaker::Closed).unwrap();
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(
        (outcomes.count("rejected"), outcomes.count("done")),
        (500, 500)
    );
    assert_eq!(backend.calls(), 500 * 5 + 500, "all attempts count");
    assert_eq!(changes(&events), []);
    assert_eq!(forced(&handle), ForcedBreaker::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_is_open_already_is_held_open_beyond_its_time() {
    let backend = Backend::down_for(SECOND);
    let events = Events::new();
    let (pipeline, outcomes) = pipeline(&backend, &events);
    let running = pipeline.start().await.unwrap();
    let handle = running.handle().clone();
    sleep(SECOND).await;
    assert_eq!(breaker(&handle), (BreakerState::Open, 1));
    handle.force_breaker("work", ForcedBreaker::Open).unwrap();
    assert_eq!(
        breaker(&handle),
        (BreakerState::Open, 1),
        "it has opened once"
    );
    sleep(10 * OPEN).await;
    assert_eq!(outcomes.total(), 0);
    handle.force_breaker("work", ForcedBreaker::Auto).unwrap();
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(outcomes.count("done"), 1000);
    assert_eq!(states(&events), ["open", "half open", "closed"]);
}
