//! Messages that always fail, as if the backend were down.

use towpath::{Flow, Processor, Report};
use towpath_test::{Outcomes, TestSource, check};

use super::{Backend, DOWN, MINUTE, OPEN, UP, ms, retry, touchy};

/// Works off so many messages of which some are bad.
async fn run(
    messages: u64,
    slots: usize,
    min_calls: u32,
    is_bad: fn(u64) -> bool,
) -> (Report, Outcomes, Backend) {
    let (source, outcomes) = TestSource::new(0..messages).build();
    let backend = Backend::new(move |call| if is_bad(call.n) { DOWN } else { UP }.after(ms(10)));
    let report = Flow::from(source)
        .process(
            Processor::service("work", backend.clone())
                .circuit_breaker(touchy().over_calls(4).min_calls(min_calls))
                .retry(retry())
                .unordered(slots),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    let is_as_it_should = |n| outcomes.only(n).is_done() != is_bad(n);
    assert!((0..messages).all(is_as_it_should), "{report}");
    (report, outcomes, backend)
}

#[tokio::test(start_paused = true)]
async fn a_message_that_always_fails_is_no_eternal_probe() {
    for (slots, min_calls) in [(1, 1), (1, 2), (4, 1), (4, 2), (4, 4)] {
        let (report, _, backend) = run(200, slots, min_calls, |n| n == 3).await;
        assert_eq!(report.counts.rejected, 1);
        let tries = backend.calls_of(3);
        assert!((5..=7).contains(&tries), "five count: {tries}");
        assert!(report.elapsed() < MINUTE, "{:?}", report.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_dozen_messages_that_always_fail_hold_up_the_others_for_a_while_and_not_for_ever() {
    for (slots, min_calls) in [(1, 2), (4, 2), (16, 4)] {
        let (report, _, backend) = run(300, slots, min_calls, |n| (5..17).contains(&n)).await;
        assert_eq!(report.counts.rejected, 12);
        let tries: Vec<_> = (5..17).map(|n| backend.calls_of(n)).collect();
        // Five count; beside them it may be the probe once for each of the others.
        assert!(tries.iter().all(|tries| *tries <= 5 + 12), "{tries:?}");
        assert!(report.elapsed() < 12 * 12 * OPEN, "{:?}", report.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn behind_a_message_that_always_fails_healthy_ones_are_probes_too() {
    let (_, _, backend) = run(100, 1, 2, |n| n == 0).await;
    let begun = backend.all();
    let first = begun.iter().find(|call| call.n == 1).unwrap().at;
    assert!(first <= OPEN + ms(100), "{first:?}");
}
