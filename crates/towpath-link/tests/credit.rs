//! Credit: what is asked for, what is inside, and what comes back, one step at a time.
#![cfg(not(shuttle))]

use std::{
    cell::Cell,
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
};

use proptest::prelude::*;
use towpath_link::{Chunk, Receiver, Sender, Size, link};

use ledger::Ledger;
use naive::{Twin, steps};

#[path = "support/ledger.rs"]
mod ledger;
#[path = "support/naive.rs"]
mod naive;

proptest! {
    #[test]
    fn a_link_does_what_the_plainest_account_of_it_says(
        buffers in 1_usize..4,
        max_demand in 1_usize..4,
        steps in steps(),
    ) {
        let mut twin = Twin::new(size(buffers, max_demand));
        for step in &steps {
            twin.step(step);
        }
        twin.wind_up();
    }
}

#[test]
fn a_sender_is_never_asked_above_free_credit() {
    let (mut sender, mut receiver) = link(size(2, 3));
    let mut asked = Vec::new();
    while let Some(chunk) = sender.try_chunk() {
        asked.push(chunk);
    }
    assert_eq!(asked.iter().map(Chunk::room).sum::<usize>(), 6);
    for mut chunk in asked {
        (0..3).for_each(|item| assert_eq!(chunk.push(item), Ok(())));
        assert_eq!(chunk.push(3), Err(3), "the surplus is given back");
        sender.send(chunk);
    }
    let mut chunk = receiver.try_recv().expect("sent above");
    assert_eq!(chunk.drain().count(), 3);
    assert!(sender.try_chunk().is_none(), "read, but not yet done with");
    drop(chunk);
    assert_eq!(sender.try_chunk().map(|chunk| chunk.room()), Some(3));
}

#[test]
fn chunks_arrive_in_the_order_in_which_they_were_sent() {
    let (mut sender, mut receiver) = link(size(3, 2));
    for first in [0, 2, 4] {
        send(&mut sender, [first, first + 1]);
    }
    let items: Vec<_> = std::iter::from_fn(|| receiver.try_recv())
        .flat_map(|mut chunk| chunk.drain().collect::<Vec<_>>())
        .collect();
    assert_eq!(items, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn a_chunk_sent_empty_is_demand_again() {
    let (mut sender, mut receiver) = link::<u8>(size(1, 1));
    let chunk = sender.try_chunk().expect("a new link is all demand");
    sender.send(chunk);
    assert!(receiver.try_recv().is_none(), "there is nothing to receive");
    assert_eq!(sender.empty_chunks(), 1);
}

#[test]
fn a_chunk_offered_back_empty_is_demand_again() {
    let (mut sender, mut receiver) = link(size(1, 1));
    send(&mut sender, [1]);
    let mut chunk = receiver.try_recv().expect("sent above");
    assert_eq!(chunk.pop(), Some(1));
    receiver.offer_back(chunk);
    assert!(receiver.try_recv().is_none(), "there is nothing to receive");
    assert_eq!(sender.empty_chunks(), 1);
}

#[test]
fn a_dropped_chunk_is_demand_again() {
    let (mut sender, mut receiver) = link(size(1, 2));
    drop(sender.try_chunk());
    send(&mut sender, [1, 2]);
    let mut chunk = receiver.try_recv().expect("sent above");
    assert_eq!(chunk.pop(), Some(1));
    drop(chunk);
    assert_eq!(sender.try_chunk().map(|chunk| chunk.room()), Some(2));
}

#[test]
fn no_demand_is_left_when_the_last_receiver_leaves() {
    let (mut sender, receiver) = link::<u8>(size(2, 1));
    let asked = sender.try_chunk();
    drop(receiver.clone());
    assert_eq!(sender.empty_chunks(), 1, "another receiver is left");
    drop(receiver);
    drop(asked);
    assert!(sender.try_chunk().is_none());
}

#[test]
fn what_nobody_can_receive_is_dropped_at_once() {
    let ledger = Ledger::default();
    let (mut sender, mut receiver) = link(size(2, 2));
    let mut late = sender.try_chunk().expect("a new link is all demand");
    assert!(late.push(ledger.item()).is_ok());
    send(&mut sender, [ledger.item(), ledger.item()]);
    let mut chunk = receiver.try_recv().expect("sent above");
    chunk.pop().expect("sent above").receive();
    receiver.offer_back(chunk);
    drop(receiver);
    assert_eq!(ledger.account().lost, [2], "it was on its way");
    sender.send(late);
    assert_eq!(ledger.account().lost, [2, 0]);
    assert!(ledger.account().is_settled());
}

#[test]
fn a_chunk_that_outlives_the_senders_comes_home() {
    let (mut sender, receiver) = link(size(1, 1));
    let mut chunk = sender.try_chunk().expect("a new link is all demand");
    assert_eq!(chunk.push(1), Ok(()));
    drop(sender);
    receiver.offer_back(chunk);
    assert_eq!((receiver.full_chunks(), receiver.empty_chunks()), (0, 1));
}

#[test]
fn a_chunk_goes_to_the_link_it_came_from() {
    let (mut sender, mut receiver) = link(size(1, 1));
    let (elsewhere, away) = link(size(1, 1));
    let mut chunk = sender.try_chunk().expect("a new link is all demand");
    assert_eq!(chunk.push(1), Ok(()));
    elsewhere.send(chunk);
    away.offer_back(receiver.try_recv().expect("sent above"));
    assert_eq!(
        receiver.try_recv().and_then(|mut chunk| chunk.pop()),
        Some(1)
    );
    assert_eq!((sender.empty_chunks(), elsewhere.empty_chunks()), (1, 1));
}

#[test]
fn an_item_that_panics_when_dropped_takes_no_credit_with_it() {
    let (mut sender, mut receiver) = link(size(1, 2));
    send(&mut sender, [Bomb(true), Bomb(false)]);
    let chunk = receiver.try_recv().expect("sent above");
    assert!(catch_unwind(AssertUnwindSafe(|| drop(chunk))).is_err());
    assert_eq!(sender.try_chunk().map(|chunk| chunk.len()), Some(0));
    drop(sender);
    assert_eq!(receiver.empty_chunks(), 1);
}

#[test]
fn an_item_that_panics_when_dropped_leaves_no_other_behind() {
    let ledger = Ledger::default();
    let (mut sender, receiver) = link(size(2, 1));
    send(&mut sender, [(Bomb(true), ledger.item())]);
    send(&mut sender, [(Bomb(false), ledger.item())]);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(receiver))).is_err());
    assert_eq!(ledger.account().lost, [0, 1]);
}

#[test]
fn items_without_a_size_are_counted_like_others() {
    let (mut sender, mut receiver) = link(size(1, 2));
    send(&mut sender, [(), ()]);
    assert!(sender.try_chunk().is_none());
    assert_eq!(receiver.try_recv().map(|chunk| chunk.len()), Some(2));
    assert_eq!(sender.try_chunk().map(|chunk| chunk.room()), Some(2));
}

#[test]
fn a_huge_demand_reserves_no_memory() {
    let (mut sender, _receiver) = link::<[u8; 64]>(size(2, usize::MAX));
    assert_eq!(
        sender.try_chunk().map(|chunk| chunk.room()),
        Some(usize::MAX)
    );
    assert_eq!(size(2, usize::MAX).bound(), usize::MAX);
}

#[test]
fn ends_and_chunks_cross_threads_wherever_their_items_do() {
    fn shared<T: Send + Sync + Unpin>() {}
    fn sent<T: Send + Unpin>() {}
    shared::<Sender<Cell<u8>>>();
    shared::<Receiver<Cell<u8>>>();
    sent::<Chunk<Cell<u8>>>();
    shared::<Chunk<u8>>();
}

struct Bomb(bool);

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(!self.0, "armed");
    }
}

fn size(buffers: usize, max_demand: usize) -> Size {
    let of = |number| NonZeroUsize::new(number).expect("a link holds something");
    Size {
        buffers: of(buffers),
        max_demand: of(max_demand),
    }
}

fn send<T>(sender: &mut Sender<T>, items: impl IntoIterator<Item = T>) {
    let mut chunk = sender.try_chunk().expect("there is demand");
    for item in items {
        assert!(chunk.push(item).is_ok(), "there is room");
    }
    sender.send(chunk);
}
