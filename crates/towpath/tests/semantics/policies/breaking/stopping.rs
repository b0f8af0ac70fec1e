//! Stop, pause and kill while the breaker is open.

use tokio::time::{Instant, sleep};
use towpath::{Ending, Flow, ForcedBreaker, Pipeline, Processor, core::BreakerState};
use towpath_test::{Outcomes, TestSource, assert_no_leaks};

use super::{Backend, DOWN, HOUR, MINUTE, OPEN, SECOND, UP, breaker, ms, retry, touchy};
use crate::events::idle;

/// Whether what failed waits in the stage, or goes back to its source.
fn pipeline(backend: &Backend, with_retry: bool) -> (Pipeline, Outcomes) {
    let source = TestSource::new(0..1000_u64).endless();
    let (source, outcomes) = source.redelivering(1000).build();
    let work = Processor::service("work", backend.clone())
        .circuit_breaker(touchy().min_calls(1))
        .unordered(4)
        .workers(2);
    let flow = Flow::from(source);
    let pipeline = if with_retry {
        flow.process(work.retry(retry())).acknowledge()
    } else {
        flow.process(work).acknowledge()
    };
    (pipeline, outcomes)
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_the_breaker_is_open_ends_at_once_and_gives_everything_back() {
    for (with_retry, forced) in [(true, false), (true, true), (false, false), (false, true)] {
        let backend = Backend::down_for(HOUR);
        let (pipeline, outcomes) = pipeline(&backend, with_retry);
        let running = pipeline.start().await.unwrap();
        let handle = running.handle().clone();
        sleep(7 * SECOND).await;
        if forced {
            handle.force_breaker("work", ForcedBreaker::Open).unwrap();
            sleep(MINUTE).await;
        }
        assert_eq!(breaker(&handle).0, BreakerState::Open);
        let (begun, calls) = (Instant::now(), backend.calls());
        handle.drain();
        let report = running.join().await.unwrap();
        assert_no_leaks(&report);
        assert!(begun.elapsed() <= ms(1), "{:?}", begun.elapsed());
        assert_eq!(report.ending, Ending::Stopped);
        assert_eq!(backend.calls(), calls, "nobody is called on the way out");
        let counts = report.counts;
        assert_eq!((counts.done, counts.rejected), (0, 0));
        assert_eq!((counts.retried, counts.abandoned), (counts.emitted, 0));
        assert_eq!(outcomes.count("retried") as u64, counts.emitted);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_lets_a_probe_that_is_out_end_and_gives_the_others_back() {
    for fails in [false, true] {
        let probe = if fails { DOWN } else { UP };
        let backend = Backend::new(move |call| match call.at {
            at if at < SECOND => DOWN,
            _ => probe.after(10 * SECOND),
        });
        let (pipeline, outcomes) = pipeline(&backend, true);
        let running = pipeline.start().await.unwrap();
        sleep(OPEN + SECOND).await;
        assert_eq!(breaker(running.handle()).0, BreakerState::HalfOpen);
        assert_eq!(backend.running(), 1);
        let (begun, calls) = (Instant::now(), backend.calls());
        running.handle().drain();
        let report = running.join().await.unwrap();
        assert_no_leaks(&report);
        assert_eq!(begun.elapsed(), 9 * SECOND);
        assert_eq!(backend.calls(), calls);
        assert_eq!(outcomes.count("done"), usize::from(!fails));
        assert_eq!(report.counts.rejected, 0);
        assert_eq!(
            report.counts.retried + report.counts.done,
            report.counts.emitted
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_stage_that_is_paused_while_it_is_open_probes_with_what_it_has_and_goes_on() {
    for with_retry in [true, false] {
        let backend = Backend::down_for(MINUTE);
        let (pipeline, outcomes) = pipeline(&backend, with_retry);
        let running = pipeline.start().await.unwrap();
        let handle = running.handle().clone();
        sleep(7 * SECOND).await;
        handle.pause();
        idle().await;
        let asked = outcomes.demands().len();
        sleep(2 * MINUTE).await;
        assert_eq!(breaker(&handle).0, BreakerState::Closed);
        let counts = handle.status().counts;
        assert_eq!(counts.in_flight, 0, "what it had is done or given back");
        assert_eq!(outcomes.demands().len(), asked);
        handle.resume();
        while outcomes.count("done") < 1000 {
            sleep(SECOND).await;
        }
        handle.drain();
        let report = running.join().await.unwrap();
        assert_no_leaks(&report);
        assert_eq!((report.counts.done, report.counts.rejected), (1000, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn workers_that_are_killed_while_they_wait_or_probe_keep_no_probe_and_lose_nothing() {
    let backend = Backend::new(|call| match call.at {
        at if at < SECOND => DOWN,
        at if at < 46 * SECOND => UP.after(HOUR),
        _ => UP.after(ms(10)),
    });
    let (pipeline, outcomes) = pipeline(&backend, true);
    let running = pipeline.start().await.unwrap();
    let handle = running.handle().clone();
    // Each time a probe is out and hangs, in one worker or the other.
    for _ in 0..8 {
        sleep(OPEN + SECOND).await;
        for worker in [0, 1] {
            handle.kill_worker("work", worker).unwrap();
        }
        idle().await;
    }
    while outcomes.count("done") < 1000 {
        sleep(SECOND).await;
        assert!(
            backend.now() < 3 * MINUTE,
            "it is stuck: {:?}",
            breaker(&handle)
        );
    }
    handle.drain();
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(report.counts.done, 1000);
}
