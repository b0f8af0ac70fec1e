//! The policies of a stage, in a pipeline.

mod adapting;
mod breaking;
mod chunks;
mod contexts;
mod limiting;
mod options;
mod others;
mod outside;
mod retrying;

use std::time::Duration;

use tokio::time::Instant;
use towpath::{CircuitBreaker, Flow, Processor, RateLimit, Retry};
use towpath_test::{Cue, TestSource, check};

#[tokio::test(start_paused = true)]
async fn a_stage_with_all_four_policies_works_its_messages_off() {
    let (source, outcomes) = TestSource::of(0..1000_u32);
    let cue = Cue::new();
    let begun = Instant::now();
    let report = Flow::from(source)
        .process(
            Processor::new("handle", cue.handler())
                .timeout(Duration::from_secs(2))
                .circuit_breaker(CircuitBreaker::failure_rate(0.5))
                .retry(Retry::exponential(
                    Duration::from_millis(50),
                    Duration::from_secs(1),
                ))
                .rate_limit(RateLimit::per_second(100).burst(10))
                .unordered(16),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert!((0..1000).all(|n| outcomes.only(n).is_done()));
    let took = begun.elapsed();
    assert!(
        (Duration::from_millis(9_890)..Duration::from_secs(10)).contains(&took),
        "{took:?}"
    );
}
