//! One limit over whatever comes in: many sources, bursts at the edge of a window, messages
//! that are pushed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{num::NonZeroUsize, time::Duration};

use tokio::time::Instant;
use towpath::{Flow, Ingress, Overflow, Processor, Rate, RateLimit, Source};
use towpath_test::{TestSource, check};

use super::{Budget, SECOND, Seen, most_within, ms};
use crate::events::idle;

fn at_once<T>(_: &T) -> Duration {
    Duration::ZERO
}

fn capacity(messages: usize) -> NonZeroUsize {
    NonZeroUsize::new(messages).expect("not zero")
}

#[tokio::test(start_paused = true)]
async fn many_sources_together_get_no_more_in_a_window_than_one_would() {
    let seen = Seen::new();
    let numbered = |n: u64| TestSource::new(n * 100..n * 100 + 40).named(format!("source {n}"));
    let built: Vec<_> = (0..5).map(|n| numbered(n).build()).collect();
    let (mut sources, outcomes): (Vec<_>, Vec<_>) = built.into_iter().unzip();
    let first = sources.remove(0);
    let [a, b, c, d] = <[_; 4]>::try_from(sources).unwrap_or_else(|_| panic!("five in all"));
    let limit = RateLimit::new(Rate::new(10, ms(500))).sliding_window();
    let begun = Instant::now();
    let merged = Flow::from(first)
        .merge(Flow::from(a))
        .merge(Flow::from(b))
        .merge(Flow::from(c))
        .merge(Flow::from(d));
    let report = merged
        .process(
            Processor::new("call", seen.handler(at_once))
                .rate_limit(limit)
                .unordered(4)
                .workers(3),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert!(outcomes.iter().all(|told| told.count("done") == 40));
    assert_eq!(most_within(&seen.times(), ms(500)), 10);
    assert_eq!(begun.elapsed(), ms(500) * 19);
    // None is left out meanwhile.
    let half = &seen.items()[..100];
    for n in 0..5 {
        let of = half.iter().filter(|item| **item / 100 == n).count();
        assert!(of >= 5, "source {n} had {of} of the first hundred");
    }
}

/// Pushes ten shortly before a window of 500 ms ends and ten right behind; what was seen.
async fn pushed_over_the_edge(limit: RateLimit) -> Seen<u64> {
    let (source, handle) = Ingress::new(capacity(64), Overflow::Wait);
    let seen = Seen::new();
    let stage = Processor::new("call", seen.handler(at_once)).rate_limit(limit);
    let running = Flow::from(Source::new("ingress", source))
        .process(stage.workers(2))
        .acknowledge()
        .start()
        .await
        .unwrap();
    for (pause, base) in [(450, 0), (60, 10)] {
        tokio::time::sleep(ms(pause)).await;
        for n in base..base + 10 {
            handle.push(n).await.unwrap();
        }
    }
    handle.close();
    let report = running.join().await.unwrap();
    check(&report);
    assert_eq!(report.counts.done, 20);
    seen
}

#[tokio::test(start_paused = true)]
async fn at_the_edge_of_a_window_there_is_no_burst_of_two_windows() {
    let rate = Rate::new(10, ms(500));
    let seen = pushed_over_the_edge(RateLimit::new(rate).sliding_window()).await;
    assert_eq!(most_within(&seen.times(), ms(500)), 10);
    let seen = pushed_over_the_edge(RateLimit::new(rate).burst(1)).await;
    Budget {
        burst: 1,
        count: 10,
        per: ms(500),
    }
    .holds_for(&seen.times());
    assert_eq!(most_within(&seen.times(), ms(500)), 10);
    let seen = pushed_over_the_edge(RateLimit::new(rate).leaky_bucket()).await;
    assert_eq!(most_within(&seen.times(), ms(50)), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_pushed_obeys_the_limit_like_the_rest_and_is_acknowledged() {
    let (source, outcomes) = TestSource::of(0..50_u64);
    let (pushed, handle) = Ingress::new(capacity(4), Overflow::Wait);
    let (seen, begun) = (Seen::new(), Instant::now());
    let stage = Processor::new("call", seen.handler(at_once))
        .rate_limit(RateLimit::per_second(100).burst(5));
    let running = Flow::from(source)
        .merge(Flow::from(Source::new("ingress", pushed)))
        .process(stage.workers(2))
        .acknowledge()
        .start()
        .await
        .unwrap();
    for n in 1000..1050 {
        assert!(handle.push_and_wait(n).await.unwrap().is_done());
    }
    handle.close();
    check(&running.join().await.unwrap());
    assert_eq!((outcomes.count("done"), seen.all().len()), (50, 100));
    let budget = Budget::per_second(100, 5);
    budget.holds_for(&seen.times());
    assert!(begun.elapsed() >= budget.time_for(100));
}

#[tokio::test(start_paused = true)]
async fn a_burst_after_an_idle_hour_is_the_burst_and_no_more() {
    let (source, handle) = Ingress::new(capacity(100), Overflow::Wait);
    let seen = Seen::new();
    let stage = Processor::new("call", seen.handler(at_once))
        .rate_limit(RateLimit::per_second(10).burst(5));
    let running = Flow::from(Source::new("ingress", source))
        .process(stage.unordered(16).workers(4))
        .acknowledge()
        .start()
        .await
        .unwrap();
    for round in 0..3 {
        for n in 0..30 {
            handle.push(round * 100 + n).await.unwrap();
        }
        idle().await;
        assert_eq!(seen.all().len() as u64 % 30, 5, "round {round}");
        tokio::time::sleep(SECOND * 3600).await;
    }
    handle.close();
    check(&running.join().await.unwrap());
    Budget::per_second(10, 5).holds_for(&seen.times());
}
