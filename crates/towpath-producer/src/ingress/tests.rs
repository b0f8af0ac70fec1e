//! The ingress: pushed into on one side, received from on the other.

use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::task::JoinSet;
use towpath_core::{Outcome, Reason};

use super::*;
use crate::test_kit::{Engine, settle};

type Source = Engine<IngressSource<u32>>;

fn ingress(capacity: usize, overflow: Overflow) -> (Source, IngressHandle<u32>) {
    let capacity = NonZeroUsize::new(capacity).unwrap();
    let (source, handle) = Ingress::new(capacity, overflow);
    (Engine::new(source), handle)
}

/// Receives all that waits.
async fn received(source: &mut Source) -> Vec<u32> {
    let _more = source.receive(usize::MAX).await.unwrap();
    source.payloads()
}

#[tokio::test(start_paused = true)]
async fn messages_come_out_in_the_order_of_their_pushes_up_to_the_room() {
    let (mut source, handle) = ingress(8, Overflow::Wait);
    for n in 0..5 {
        handle.push(n).await.unwrap();
    }
    assert_eq!((handle.len(), handle.capacity()), (5, 8));
    assert_eq!(source.receive(3).await.unwrap(), Received::More);
    assert_eq!(source.payloads(), [0, 1, 2]);
    assert_eq!(received(&mut source).await, [3, 4]);
    assert!(handle.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_receive_waits_for_a_push_and_cut_short_loses_nothing() {
    let (mut source, handle) = ingress(8, Overflow::Wait);
    for n in 0..20 {
        assert!(source.cut_short(8).is_none());
        handle.push(n).await.unwrap();
        assert!(source.cut_short(8).is_some());
        assert_eq!(source.payloads(), [n]);
    }
    let mut pushes = JoinSet::new();
    pushes.spawn({
        let handle = handle.clone();
        async move { handle.push(7).await }
    });
    assert_eq!(
        received(&mut source).await,
        [7],
        "a waiting receive is woken"
    );
}

#[tokio::test(start_paused = true)]
async fn wait_lets_pushers_wait_in_the_order_in_which_they_came() {
    let (mut source, handle) = ingress(2, Overflow::Wait);
    let mut pushes = JoinSet::new();
    for n in 0..6 {
        let handle = handle.clone();
        pushes.spawn(async move { handle.push(n).await });
        tokio::task::yield_now().await;
    }
    assert_eq!(handle.len(), 2);
    assert!(matches!(handle.try_push(9), Err(PushError::QueueFull(9))));
    let mut all = Vec::new();
    while all.len() < 6 {
        let _more = source.receive(1).await.unwrap();
        all.extend(source.payloads());
        assert!(handle.len() <= 2, "never more than the capacity");
        tokio::task::yield_now().await;
    }
    assert_eq!(all, [0, 1, 2, 3, 4, 5]);
    assert!(pushes.join_all().await.iter().all(Result::is_ok));
}

#[tokio::test(start_paused = true)]
async fn a_push_that_is_dropped_while_it_waits_has_not_pushed() {
    let (mut source, handle) = ingress(1, Overflow::Wait);
    handle.push(1).await.unwrap();
    assert!(handle.push(2).now_or_never().is_none());
    assert_eq!(received(&mut source).await, [1]);
    assert!(source.cut_short(8).is_none(), "nothing else was pushed");
    handle
        .push(3)
        .now_or_never()
        .expect("the place is free")
        .unwrap();
    assert_eq!(received(&mut source).await, [3]);
}

#[tokio::test(start_paused = true)]
async fn reject_gives_the_message_back_while_there_is_no_room() {
    let (mut source, handle) = ingress(2, Overflow::Reject);
    handle.push(1).await.unwrap();
    handle.try_push(2).unwrap();
    assert_eq!(handle.push(3).await, Err(PushError::QueueFull(3)));
    assert_eq!(handle.push_and_wait(4).await.unwrap_err().into_inner(), 4);
    assert_eq!(handle.dropped(), 0, "nothing was lost");
    assert_eq!(received(&mut source).await, [1, 2]);
    handle.push(3).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn drop_oldest_makes_room_and_tells_and_counts_what_it_drops() {
    let (mut source, handle) = ingress(2, Overflow::DropOldest);
    let oldest = handle.push_and_wait(1);
    tokio::pin!(oldest);
    assert!(oldest.as_mut().now_or_never().is_none());
    handle.push(2).await.unwrap();
    handle.push(3).await.unwrap();
    assert_overflowed(&oldest.await.unwrap());
    handle.try_push(4).unwrap();
    assert_eq!(handle.dropped(), 2);
    assert_eq!(received(&mut source).await, [3, 4]);
}

#[tokio::test(start_paused = true)]
async fn drop_newest_keeps_what_waits_and_tells_and_counts_what_it_drops() {
    let (mut source, handle) = ingress(2, Overflow::DropNewest);
    handle.push(1).await.unwrap();
    handle.push(2).await.unwrap();
    handle.push(3).await.unwrap();
    assert_overflowed(&handle.push_and_wait(4).await.unwrap());
    assert_eq!(handle.dropped(), 2);
    assert_eq!(received(&mut source).await, [1, 2]);
}

fn assert_overflowed(outcome: &Outcome) {
    assert!(
        matches!(outcome, Outcome::Drop(reason) if *reason == Reason::new("overflow")),
        "{outcome}"
    );
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_message_is_told_its_outcome() {
    let (mut source, handle) = ingress(2, Overflow::Wait);
    let mut acknowledger = source.source.acknowledger().unwrap();
    let mut pushes = JoinSet::new();
    pushes.spawn(async move {
        handle.push(1).await.unwrap();
        handle.push_and_wait(2).await
    });
    let mut taken = Vec::new();
    while taken.len() < 2 {
        let _more = source.receive(8).await.unwrap();
        taken.extend(source.taken());
    }
    let after = Duration::from_secs(3);
    let outcomes = taken
        .into_iter()
        .map(|t| (t.token, Outcome::retry_after(after)));
    let settled = settle(&mut acknowledger, outcomes).await;
    assert_eq!(
        (settled.confirmed, settled.sent),
        (1, 1),
        "one waited, one did not"
    );
    let outcome = pushes.join_next().await.unwrap().unwrap().unwrap();
    assert!(matches!(outcome, Outcome::Retry { after: told, .. } if told == after));
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_receipt_is_lost_is_given_back_to_its_pusher() {
    let (mut source, handle) = ingress(2, Overflow::Wait);
    let pushed = handle.push_and_wait(1);
    tokio::pin!(pushed);
    assert!(pushed.as_mut().now_or_never().is_none());
    let _more = source.receive(8).await.unwrap();
    drop(source.taken());
    assert!(matches!(pushed.await.unwrap(), Outcome::Retry { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_closed_ingress_hands_out_what_was_accepted_and_ends() {
    let (mut source, handle) = ingress(1, Overflow::Wait);
    handle.push(1).await.unwrap();
    let waiting = handle.push(2);
    tokio::pin!(waiting);
    assert!(waiting.as_mut().now_or_never().is_none());
    handle.close();
    assert!(handle.is_closed());
    assert_eq!(
        waiting.await,
        Err(PushError::Stopped(2)),
        "it was not accepted"
    );
    assert_eq!(handle.push(3).await, Err(PushError::Stopped(3)));
    assert_eq!(handle.try_push(4), Err(PushError::Stopped(4)));
    assert_eq!(source.receive(8).await.unwrap(), Received::End);
    assert_eq!(source.payloads(), [1]);
    assert_eq!(handle.abandoned(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_ingress_ends_when_its_last_handle_is_dropped() {
    let (mut source, handle) = ingress(4, Overflow::Reject);
    let other = handle.clone();
    drop(handle);
    assert!(source.cut_short(8).is_none(), "another handle is left");
    other.push(1).await.unwrap();
    drop(other);
    assert_eq!(source.all(8).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn closing_wakes_a_receive_that_waits() {
    let (mut source, handle) = ingress(4, Overflow::Reject);
    let receive = source.receive(8);
    tokio::pin!(receive);
    assert!(receive.as_mut().now_or_never().is_none());
    drop(handle);
    assert_eq!(receive.await.unwrap(), Received::End);
}

#[tokio::test(start_paused = true)]
async fn a_drain_hands_out_all_that_was_accepted_and_accepts_nothing_more() {
    let (mut source, handle) = ingress(4, Overflow::Wait);
    for n in 0..4 {
        handle.push(n).await.unwrap();
    }
    let late = handle.push(4);
    tokio::pin!(late);
    assert!(late.as_mut().now_or_never().is_none());
    source.drain(2).await.unwrap();
    assert_eq!(source.payloads(), [0, 1, 2, 3]);
    assert_eq!(late.await, Err(PushError::Stopped(4)));
    assert_eq!(handle.push(5).await, Err(PushError::Stopped(5)));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_received_is_given_back_when_the_source_is_dropped() {
    let (source, handle) = ingress(4, Overflow::Wait);
    let pushed = handle.push_and_wait(1);
    tokio::pin!(pushed);
    assert!(pushed.as_mut().now_or_never().is_none());
    handle.push(2).await.unwrap();
    drop(source);
    assert!(matches!(pushed.await.unwrap(), Outcome::Retry { .. }));
    assert_eq!((handle.abandoned(), handle.len()), (2, 0));
    assert_eq!(
        handle.push_and_wait(3).await.unwrap_err(),
        PushError::Stopped(3)
    );
}

#[test]
fn handles_and_their_futures_can_cross_threads() {
    fn crosses<T: Send>(_: &T) {}
    fn is_shared<T: Send + Sync>(_: &T) {}
    let (source, handle) = ingress(1, Overflow::Wait);
    crosses(&source.source);
    is_shared(&handle);
    crosses(&handle.push(1));
    crosses(&handle.push_and_wait(1));
}

#[tokio::test(start_paused = true)]
async fn the_largest_capacity_is_no_panic() {
    let (mut source, handle) = ingress(usize::MAX, Overflow::Wait);
    handle.push(1).await.unwrap();
    assert_eq!(received(&mut source).await, [1]);
}

#[tokio::test]
async fn pushers_on_many_threads_lose_and_double_nothing() {
    for overflow in [Overflow::Wait, Overflow::Reject, Overflow::DropOldest] {
        let (mut source, handle) = ingress(3, overflow);
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let handle = handle.clone();
                std::thread::spawn(move || push_all(&handle, thread * 1000..(thread + 1) * 1000))
            })
            .collect();
        let dropped = handle.clone();
        drop(handle);
        let all = tokio::task::spawn_blocking(move || {
            let pushed = threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum();
            dropped.close();
            (pushed, dropped)
        });
        let mut received = source.all(2).await;
        let (pushed, handle): (usize, _) = all.await.unwrap();
        received.sort_unstable();
        let count = received.len();
        received.dedup();
        assert_eq!(received.len(), count, "{overflow:?} doubled a message");
        let dropped = usize::try_from(handle.dropped()).unwrap();
        assert_eq!(count + dropped, pushed, "{overflow:?} lost a message");
    }
}

/// Pushes without waiting; counts what was accepted.
fn push_all(handle: &IngressHandle<u32>, all: std::ops::Range<u32>) -> usize {
    all.filter(|n| handle.try_push(*n).is_ok()).count()
}
