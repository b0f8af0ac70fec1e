//! One breaker for several stages, shared by its name.

use tokio::time::sleep;
use towpath::{BuildError, CircuitBreaker, Flow, Pipeline, Processor, core::BreakerState};
use towpath_test::{Outcomes, TestSource, assert_no_leaks};

use super::{Backend, DOWN, MINUTE, OPEN, SECOND, UP, breaker, ms, retry, states, touchy};
use crate::events::Events;

fn pipeline(backend: &Backend, breaker: CircuitBreaker, events: &Events) -> (Pipeline, Outcomes) {
    let (source, outcomes) = TestSource::new(0..3000_u64).build();
    let pipeline = Flow::from(source)
        .process(
            Processor::service("work", backend.clone())
                .circuit_breaker(breaker)
                .retry(retry())
                .unordered(2),
        )
        .acknowledge()
        .observer(events.observer());
    (pipeline, outcomes)
}

#[tokio::test(start_paused = true)]
async fn when_one_stage_opens_the_breaker_the_other_waits_too_and_both_go_on() {
    let dead = |at| (10 * SECOND..14 * SECOND).contains(&at);
    let tried = Backend::new(move |call| if dead(call.at) { DOWN } else { UP }.after(ms(100)));
    let other = Backend::new(|_| UP.after(ms(100)));
    let (events, others) = (Events::new(), Events::new());
    let shared = || {
        let breaker = CircuitBreaker::failure_rate(0.25).over_calls(8);
        breaker.open_for(OPEN).named("breaking: one backend")
    };
    let (first, done) = pipeline(&tried, shared(), &events);
    let (second, also_done) = pipeline(&other, shared(), &others);
    let first = first.named("first").start().await.unwrap();
    let second = second.named("second").start().await.unwrap();
    sleep(11 * SECOND).await;
    assert_eq!(breaker(first.handle()), (BreakerState::Open, 1));
    assert_eq!(breaker(second.handle()), (BreakerState::Open, 1));
    let calls = other.calls();
    sleep(ms(3900)).await;
    assert_eq!(
        other.calls(),
        calls,
        "the other waits, and nothing fails there"
    );
    let (first, second) = tokio::join!(first.join(), second.join());
    for (report, outcomes) in [(first.unwrap(), done), (second.unwrap(), also_done)] {
        assert_no_leaks(&report);
        assert_eq!(outcomes.count("done"), 3000);
        assert!(report.elapsed() < 4 * MINUTE);
    }
    assert_eq!(states(&events), states(&others), "both are told");
    assert_eq!(states(&events), ["open", "half open", "closed"]);
}

#[tokio::test(start_paused = true)]
async fn other_options_under_one_name_are_a_problem_of_the_build() {
    let (backend, events) = (Backend::new(|_| UP), Events::new());
    let name = "breaking: one name";
    let (first, _) = pipeline(&backend, touchy().named(name), &events);
    let other = touchy().named(name).open_for(2 * OPEN);
    let (second, _) = pipeline(&backend, other.clone(), &events);
    first.check().unwrap();
    let error = second.check().unwrap_err();
    let BuildError::Invalid { .. } = &error else {
        panic!("{error:?}")
    };
    let said = format!("{error} {error:?}");
    assert!(said.contains("work"), "{said}");
    assert!(said.contains("circuit_breaker.name"), "{said}");
    assert!(said.contains("is in use with other options"), "{said}");
    assert!(second.start().await.is_err());
    assert_eq!(backend.calls(), 0);
    // Whether calls wait is of each stage alone.
    let (third, _) = pipeline(&backend, touchy().named(name).rejecting(), &events);
    third.check().unwrap();
    drop((first, third));
    let (again, outcomes) = pipeline(&backend, other, &events);
    assert_no_leaks(&again.run().await.unwrap());
    assert_eq!(outcomes.count("done"), 3000, "the name is free again");
}
