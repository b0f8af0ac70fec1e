//! All policies together over a backend that comes and goes.

use std::{sync::Arc, time::Duration};

use towpath::{Flow, Jitter, Processor, RateLimit, Retry, Timeout};
use towpath_test::{TestSource, assert_no_leaks};

use super::{Answer, Backend, DOWN, HOUR, MINUTE, SECOND, UP, ms, touchy};
use crate::events::Dice;

const MESSAGES: u64 = 600;
const RATE: usize = 50;
const BURST: usize = 10;

/// Phases of some seconds in which it is up, down, slow, hung, or fails at random; up for
/// good in the end.
fn weather(seed: u64) -> impl Fn(super::Call) -> Answer + Send + Sync {
    let mut dice = Dice::new(seed);
    let mut until = Duration::ZERO;
    let phases: Vec<_> = (0..12)
        .map(|_| {
            until += ms(500 + dice.below(15_000));
            (until, dice.below(5))
        })
        .collect();
    move |call| {
        let phase = phases.iter().find(|(until, _)| call.at < *until);
        let mut dice = Dice::new(seed ^ call.index as u64);
        let quick = ms(1 + dice.below(50));
        match phase.map(|(_, kind)| kind) {
            Some(0) => DOWN.after(quick),
            Some(1) => UP.after(SECOND),
            Some(2) => UP.after(HOUR),
            Some(3) if dice.below(2) == 0 => DOWN.after(quick),
            _ => UP.after(quick),
        }
    }
}

async fn conserves(seed: u64, workers: usize) {
    let (source, outcomes) = TestSource::new(0..MESSAGES).build();
    let weather = Arc::new(weather(seed));
    let backend = Backend::new(move |call| weather(call));
    let pipeline = Flow::from(source)
        .process(
            Processor::service("work", backend.clone())
                .circuit_breaker(
                    touchy()
                        .over_calls(10)
                        .min_calls(5)
                        .probes(2)
                        .open_for(SECOND),
                )
                .rate_limit(RateLimit::per_second(50).burst(10))
                .timeout(Timeout::after(2 * SECOND))
                .retry(
                    Retry::exponential(ms(50), 5 * SECOND)
                        .attempts(4)
                        .jitter(Jitter::Full)
                        .seed(seed)
                        .budget(1000.0),
                )
                .unordered(8)
                .workers(workers),
        )
        .acknowledge();
    let report = pipeline.run().await.unwrap();
    assert_no_leaks(&report);
    for n in 0..MESSAGES {
        let word = outcomes.only(n).word();
        assert!(
            matches!(word, "done" | "rejected"),
            "seed {seed}: {n} {word}"
        );
    }
    let most = 10 * outcomes.count("rejected");
    assert!(most < outcomes.total(), "seed {seed}: {report}");
    assert!(report.elapsed() < 5 * MINUTE, "seed {seed}: {report}");
    let times = backend.times();
    for window in times.windows(RATE + BURST + 1) {
        let took = window[RATE + BURST] - window[0];
        assert!(took >= 999, "seed {seed}: too fast at {}", window[0]);
    }
}

#[tokio::test(start_paused = true)]
async fn over_a_backend_that_comes_and_goes_every_message_has_one_outcome() {
    for seed in 0..24 {
        conserves(seed, 1 + usize::try_from(seed % 4).unwrap()).await;
    }
}
