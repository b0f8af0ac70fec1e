//! Ticks.

use tokio::time::{Instant, advance};

use super::*;
use crate::test_kit::Engine;

const PERIOD: Duration = Duration::from_secs(10);

#[tokio::test(start_paused = true)]
async fn ticks_come_at_once_and_then_every_period_numbered_from_zero() {
    let mut engine = Engine::new(IntervalSource::new(PERIOD));
    let start = Instant::now();
    for number in 0..4 {
        assert_eq!(engine.receive(8).await.unwrap(), Received::More);
        assert_eq!(engine.payloads(), [u64::from(number)]);
        assert_eq!(start.elapsed(), PERIOD * number);
    }
}

#[tokio::test(start_paused = true)]
async fn a_limited_interval_ends_with_its_last_tick() {
    let mut engine = Engine::new(IntervalSource::new(PERIOD).limit(3));
    let start = Instant::now();
    assert_eq!(engine.all(8).await, [0, 1, 2]);
    assert_eq!(start.elapsed(), PERIOD * 2);
    assert_eq!(engine.receive(8).await.unwrap(), Received::End);
    assert_eq!(engine.payloads(), [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_interval_without_ticks_ends_at_once() {
    let mut engine = Engine::new(IntervalSource::new(PERIOD).limit(0));
    assert_eq!(engine.all(8).await, [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn missed_ticks_are_not_made_up_for_unless_asked() {
    let (delayed, _) = ticks_after_a_stall(IntervalSource::new(PERIOD)).await;
    assert_eq!(
        delayed, PERIOD,
        "the next tick is a period after the late one"
    );
    let burst = IntervalSource::new(PERIOD).missed(MissedTickBehavior::Burst);
    let (made_up, number) = ticks_after_a_stall(burst).await;
    assert_eq!((made_up, number), (Duration::ZERO, 2));
}

/// How long the tick after a late one takes, and its number.
async fn ticks_after_a_stall(source: IntervalSource) -> (Duration, u64) {
    let mut engine = Engine::new(source);
    let _first = engine.receive(1).await.unwrap();
    advance(PERIOD * 3 + PERIOD / 2).await;
    let _late = engine.receive(1).await.unwrap();
    let late = Instant::now();
    let _next = engine.receive(1).await.unwrap();
    (late.elapsed(), *engine.payloads().last().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_receive_of_an_interval_that_is_cut_short_loses_no_tick() {
    let mut engine = Engine::new(IntervalSource::new(PERIOD).limit(3));
    let start = Instant::now();
    assert!(
        engine.cut_short(1).is_some(),
        "the first tick comes at once"
    );
    assert!(engine.cut_short(1).is_none());
    advance(PERIOD / 2).await;
    assert!(engine.cut_short(1).is_none());
    assert_eq!(engine.all(8).await, [0, 1, 2]);
    assert_eq!(start.elapsed(), PERIOD * 2);
}

#[tokio::test(start_paused = true)]
async fn an_interval_of_no_length_cannot_be_opened() {
    let mut source = IntervalSource::new(Duration::ZERO);
    let error = source.open().await.unwrap_err();
    assert!(error.downcast_ref::<ZeroPeriod>().is_some());
    let mut engine = Engine::new(source);
    assert!(engine.receive(1).await.is_err());
}
