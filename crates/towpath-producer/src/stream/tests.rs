//! Streams as sources.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::mpsc;
use tokio_stream::wrappers::{IntervalStream, ReceiverStream};
use towpath_core::Panicked;

use super::*;
use crate::test_kit::Engine;

#[tokio::test(start_paused = true)]
async fn a_stream_hands_out_what_is_ready_without_waiting_for_more() {
    let (items, waiting) = mpsc::channel(8);
    let mut engine = Engine::new(StreamSource::new(ReceiverStream::new(waiting)));
    for item in 0..5 {
        items.send(item).await.unwrap();
    }
    assert_eq!(engine.receive(3).await.unwrap(), Received::More);
    assert_eq!(engine.payloads(), [0, 1, 2]);
    assert_eq!(engine.receive(3).await.unwrap(), Received::More);
    assert_eq!(engine.payloads(), [3, 4], "two were ready, and two came");
}

#[tokio::test(start_paused = true)]
async fn a_stream_waits_for_its_first_item() {
    let ticks = tokio::time::interval(Duration::from_secs(1));
    let ticks = IntervalStream::new(ticks).skip(1).enumerate();
    let mut engine = Engine::new(StreamSource::new(ticks.map(|(n, _)| n)));
    let start = tokio::time::Instant::now();
    assert_eq!(engine.receive(8).await.unwrap(), Received::More);
    assert_eq!(engine.payloads(), [0]);
    assert_eq!(start.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_its_last_items_and_is_not_polled_again() {
    let mut ended = false;
    let mut left = 3;
    let items = futures_util::stream::poll_fn(move |_| {
        assert!(!ended, "polled behind the end");
        ended = left == 0;
        let item = (!ended).then_some(left);
        left -= i32::from(!ended);
        Poll::Ready(item)
    });
    let mut engine = Engine::new(StreamSource::new(items));
    assert_eq!(engine.receive(8).await.unwrap(), Received::End);
    assert_eq!(engine.payloads(), [3, 2, 1]);
    assert_eq!(engine.receive(8).await.unwrap(), Received::End);
}

#[tokio::test(start_paused = true)]
async fn a_receive_of_a_stream_that_is_cut_short_loses_nothing() {
    let (items, waiting) = mpsc::channel(8);
    let mut engine = Engine::new(StreamSource::new(ReceiverStream::new(waiting)));
    for item in 0..10 {
        drop(engine.cut_short(1));
        items.send(item).await.unwrap();
    }
    drop(items);
    assert_eq!(engine.all(64).await, (0..10).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_stream_passes_out_and_the_next_call_goes_on() {
    let items = tokio_stream::iter(0..4).map(|n| {
        assert!(n != 2, "two");
        n
    });
    let mut engine = Engine::new(StreamSource::new(items));
    let panic = AssertUnwindSafe(engine.receive(4)).catch_unwind().await;
    assert_eq!(Panicked::from_payload(panic.unwrap_err()).message(), "two");
    assert_eq!(engine.payloads(), [0, 1], "what came before is kept");
    assert_eq!(engine.all(4).await, [3]);
}
