//! Over any interval t at most burst + rate * t calls begin, and the budget is used.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{collections::BTreeSet, time::Duration};

use tokio::time::{Instant, advance};
use towpath::{Flow, Processor, Rate, RateLimit};
use towpath_test::{TestSource, check};

use super::{Budget, SECOND, Seen, most_within, ms};

/// Takes a while that differs from message to message.
fn uneven(n: u64) -> Duration {
    ms(n * 7919 % 41)
}

/// Works off `messages` under a limit; what the service saw, and how long it took until the
/// last call began.
async fn worked_off(limit: RateLimit, messages: u64, workers: usize) -> (Seen<u64>, Duration) {
    let (source, outcomes) = TestSource::of(0..messages);
    let (seen, begun) = (Seen::new(), Instant::now());
    let stage = Processor::new("call", seen.handler(|n| uneven(*n))).rate_limit(limit);
    let report = Flow::from(source)
        .process(stage.unordered(32).workers(workers))
        .acknowledge()
        .max_demand(1)
        .run()
        .await
        .unwrap();
    check(&report);
    let messages = usize::try_from(messages).unwrap();
    assert_eq!(
        (outcomes.count("done"), seen.all().len()),
        (messages, messages)
    );
    let last = *seen.times().last().unwrap();
    (seen, last.duration_since(begun))
}

#[tokio::test(start_paused = true)]
async fn in_no_interval_are_there_more_calls_than_burst_and_rate_allow_and_the_budget_is_used() {
    for (workers, rate, burst) in [(1, 100, 5), (4, 200, 20), (3, 30, 2), (2, 143, 10)] {
        let limit = RateLimit::per_second(rate).burst(burst);
        let messages = 1500;
        let (seen, took) = worked_off(limit, messages, workers).await;
        let budget = Budget::per_second(rate.into(), burst.into());
        budget.holds_for(&seen.times());
        budget.is_used_up(messages, took);
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_that_was_not_set_keeps_the_rate_too() {
    let (seen, took) = worked_off(RateLimit::per_second(150), 1500, 2).await;
    let budget = Budget::per_second(150, 16);
    budget.holds_for(&seen.times());
    budget.is_used_up(1500, took);
}

#[tokio::test(start_paused = true)]
async fn no_message_waits_longer_for_its_turn_than_those_before_it() {
    let limit = RateLimit::per_second(100).burst(1);
    let (seen, _) = worked_off(limit, 800, 4).await;
    // No more overtake one than may be on their way between source and workers.
    let farthest = (0_u64..)
        .zip(seen.items())
        .map(|(place, n)| place.abs_diff(n))
        .max();
    assert!(farthest <= Some(16), "{farthest:?} places off");
}

#[tokio::test(start_paused = true)]
async fn a_leaky_bucket_of_a_hundred_a_second_spaces_its_calls_evenly_by_ten_milliseconds() {
    let (seen, took) = worked_off(RateLimit::per_second(100).leaky_bucket(), 1000, 4).await;
    let times = seen.times();
    let gaps = times.windows(2).map(|pair| pair[1].duration_since(pair[0]));
    let gaps: BTreeSet<_> = gaps.collect();
    // A timer is late by up to a millisecond, and what that loses is not made up for.
    assert!(
        gaps.iter().all(|gap| (ms(10)..=ms(11)).contains(gap)),
        "{gaps:?}"
    );
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert!((ms(9_990)..=ms(10_989)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_token_bucket_with_a_small_burst_makes_no_waves() {
    let (seen, _) = worked_off(RateLimit::per_second(100).burst(4), 1000, 4).await;
    let times = seen.times();
    Budget::per_second(100, 4).holds_for(&times);
    assert_eq!(most_within(&times, ms(10)), 4, "the burst, at the start");
    // Once that is spent the calls are spread: never the hundred of a second at its edge.
    let begun = times[0];
    let later = times.iter().filter(|at| at.duration_since(begun) > SECOND);
    let later: Vec<_> = later.copied().collect();
    assert_eq!(most_within(&later, ms(10)), 1);
    assert_eq!(most_within(&later, SECOND), 100);
}

#[tokio::test(start_paused = true)]
async fn a_sliding_window_lets_no_window_wherever_it_starts_have_more_than_its_count() {
    let rate = Rate::new(10, ms(500));
    let (seen, took) = worked_off(RateLimit::new(rate).sliding_window(), 200, 4).await;
    assert_eq!(most_within(&seen.times(), ms(500)), 10);
    assert_eq!(took, ms(500) * 19);
}

#[tokio::test(start_paused = true)]
async fn each_stage_has_a_limit_of_its_own() {
    let (source, outcomes) = TestSource::of(0..300_u64);
    let (first, second) = (Seen::new(), Seen::new());
    let begun = Instant::now();
    let none = |_: &u64| Duration::ZERO;
    let report = Flow::from(source)
        .process(
            Processor::new("first", first.handler(none))
                .rate_limit(RateLimit::per_second(200).burst(30)),
        )
        .process(
            Processor::new("second", second.handler(none))
                .rate_limit(RateLimit::per_second(50).burst(3)),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!(outcomes.count("done"), 300);
    Budget::per_second(200, 30).holds_for(&first.times());
    let slower = Budget::per_second(50, 3);
    slower.holds_for(&second.times());
    slower.is_used_up(300, begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn two_stages_of_the_same_options_share_no_budget() {
    let limit = RateLimit::per_second(10).burst(1);
    let (source, _) = TestSource::of(0..20_u64);
    let (first, second) = (Seen::new(), Seen::new());
    let none = |_: &u64| Duration::ZERO;
    let begun = Instant::now();
    let report = Flow::from(source)
        .process(Processor::new("first", first.handler(none)).rate_limit(limit.clone()))
        .process(Processor::new("second", second.handler(none)).rate_limit(limit))
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    let took = begun.elapsed();
    assert!((ms(1900)..ms(1925)).contains(&took), "{took:?}");
    Budget::per_second(10, 1).holds_for(&second.times());
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_lets_no_more_than_the_burst_through() {
    let (source, _) = TestSource::new(0_u64..).build();
    let seen = Seen::new();
    let stage = Processor::new("call", seen.handler(|_| Duration::ZERO))
        .rate_limit(RateLimit::per_second(100).burst(7));
    let running = Flow::from(source)
        .process(stage.workers(2))
        .acknowledge()
        .start()
        .await
        .unwrap();
    for _ in 0..5 {
        tokio::time::sleep(ms(250)).await;
        advance(Duration::from_secs(3600)).await;
    }
    running.handle().drain();
    check(&running.join().await.unwrap());
    let times = seen.times();
    Budget::per_second(100, 7).holds_for(&times);
    assert_eq!(most_within(&times, ms(1)), 7);
    let span = times.last().unwrap().duration_since(times[0]);
    assert!(span > Duration::from_secs(4 * 3600), "{span:?}");
}
