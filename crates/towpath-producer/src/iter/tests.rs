//! Iterators as sources.

use std::{panic::AssertUnwindSafe, sync::mpsc};

use futures_util::FutureExt as _;
use towpath_core::Panicked;

use super::*;
use crate::test_kit::Engine;

#[tokio::test(start_paused = true)]
async fn an_iterator_fills_the_room_at_once_and_ends_with_its_last_items() {
    let mut engine = Engine::new(IterSource::new(0..5));
    assert_eq!(engine.receive(3).await.unwrap(), Received::More);
    assert_eq!(engine.payloads(), [0, 1, 2]);
    assert_eq!(engine.receive(3).await.unwrap(), Received::End);
    assert_eq!(engine.payloads(), [3, 4]);
}

#[tokio::test(start_paused = true)]
async fn an_iterator_that_knows_its_length_ends_with_the_item_that_fills_the_room() {
    let mut engine = Engine::new(IterSource::new(vec!["a", "b"]));
    assert_eq!(engine.receive(2).await.unwrap(), Received::End);
    assert_eq!(engine.payloads(), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn an_iterator_that_has_ended_is_not_asked_again() {
    let mut calls = 0;
    let mut engine = Engine::new(IterSource::new(std::iter::from_fn(move || {
        calls += 1;
        assert_eq!(calls, 1, "asked behind the end");
        None::<u32>
    })));
    assert_eq!(engine.receive(2).await.unwrap(), Received::End);
    assert_eq!(engine.receive(2).await.unwrap(), Received::End);
}

#[tokio::test(start_paused = true)]
async fn a_receive_of_an_iterator_that_is_cut_short_loses_nothing() {
    let mut engine = Engine::new(IterSource::new(0..4));
    drop(engine.cut_short(2));
    assert_eq!(engine.all(4).await, [0, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_an_iterator_passes_out_and_the_next_call_goes_on() {
    let mut engine = Engine::new(IterSource::new((0..4).map(panic_at_two)));
    let panic = AssertUnwindSafe(engine.receive(4)).catch_unwind().await;
    let panic = Panicked::from_payload(panic.unwrap_err());
    assert_eq!(panic.message(), "two");
    assert_eq!(engine.payloads(), [0, 1], "what came before is kept");
    assert_eq!(engine.all(4).await, [3]);
}

#[tokio::test(start_paused = true)]
async fn a_blocking_iterator_hands_out_every_item_in_order() {
    let mut engine = Engine::new(BlockingIter::new(0..1000));
    assert_eq!(engine.all(7).await, (0..1000).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_blocking_iterator_hands_out_an_item_before_the_next_is_there() {
    let (items, waiting) = mpsc::channel();
    let mut engine = Engine::new(BlockingIter::new(waiting.into_iter()));
    for item in 0..3 {
        items.send(item).unwrap();
        // Room for more, of which nothing has come: must not wait for it.
        assert_eq!(engine.receive(8).await.unwrap(), Received::More);
        assert_eq!(engine.payloads(), [item]);
    }
    drop(items);
    assert_eq!(engine.receive(8).await.unwrap(), Received::End);
}

#[tokio::test(start_paused = true)]
async fn a_receive_of_a_blocking_iterator_that_is_cut_short_loses_nothing() {
    let (items, waiting) = mpsc::channel();
    let mut engine = Engine::new(BlockingIter::new(waiting.into_iter()));
    assert!(engine.cut_short(2).is_none(), "nothing has come");
    for item in 0..10 {
        items.send(item).unwrap();
        drop(engine.cut_short(2));
    }
    drop(items);
    assert_eq!(engine.all(64).await, (0..10).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_blocking_iterator_comes_behind_the_items_before_it() {
    let mut engine = Engine::new(BlockingIter::new((0..4).map(panic_at_two)));
    let mut items = Vec::new();
    let panic = loop {
        let received = AssertUnwindSafe(engine.receive(4)).catch_unwind().await;
        items.extend(engine.payloads());
        if let Err(panic) = received {
            break Panicked::from_payload(panic);
        }
    };
    assert_eq!(panic.message(), "two");
    assert_eq!(items, [0, 1]);
    assert_eq!(engine.all(4).await, [3]);
}

#[tokio::test(start_paused = true)]
async fn a_blocking_iterator_is_asked_for_no_more_than_there_is_room_for() {
    let (asked, count) = mpsc::channel();
    let items = (0..100).inspect(move |n| asked.send(*n).unwrap());
    let mut engine = Engine::new(BlockingIter::new(items));
    let mut received = 0;
    while received < 5 {
        assert_eq!(engine.receive(5 - received).await.unwrap(), Received::More);
        received += engine.payloads().len();
    }
    assert_eq!(count.try_iter().count(), 5);
}

fn panic_at_two(n: u32) -> u32 {
    assert!(n != 2, "two");
    n
}
