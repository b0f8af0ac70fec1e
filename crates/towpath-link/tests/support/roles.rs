//! What the tasks at the ends of a modelled link do.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::Poll,
};

use shuttle::{
    future::yield_now,
    rand::{Rng, thread_rng},
};
use towpath_link::{Chunk, Receiver, Sender};

use crate::ledger::{Item, Ledger};
use crate::world::Task;

/// Sends so many items, in chunks of any length, unless nobody receives them.
pub(crate) async fn send(mut sender: Sender<Item>, ledger: Ledger, items: usize) -> usize {
    let mut sent = 0;
    while sent < items {
        let Some(mut chunk) = sender.chunk().await else {
            break;
        };
        assert_eq!((chunk.len(), chunk.room()), (0, sender.max_demand()));
        for _ in 0..at_most(chunk.room().min(items - sent)) {
            put(&mut chunk, &ledger);
        }
        sent += chunk.len();
        sender.send(chunk);
    }
    0
}

/// Sends each item through a clone that goes before the item is received, or after.
pub(crate) async fn send_through_clones(
    sender: Sender<Item>,
    ledger: Ledger,
    items: usize,
) -> usize {
    if items > 0 {
        let next = sender.clone();
        send(sender, ledger.clone(), 1).await;
        Box::pin(send_through_clones(next, ledger, items - 1)).await;
    }
    0
}

/// Begins to wait for demand, and makes little of it.
pub(crate) async fn send_nothing(mut sender: Sender<Item>, ledger: Ledger) -> usize {
    let asked = match thread_rng().gen_range(0..3) {
        0 => glance(sender.chunk()).await,
        1 => poll_fn(|cx| once(sender.poll_chunk(cx))).await,
        _ => sender.try_chunk(),
    };
    if coin() {
        sender.stop_waiting();
    }
    yield_now().await;
    asked.map_or(0, |chunk| drop_half_filled(&sender, chunk, &ledger))
}

/// Half of the time it sends the chunk instead, empty.
fn drop_half_filled(sender: &Sender<Item>, mut chunk: Chunk<Item>, ledger: &Ledger) -> usize {
    if coin() {
        sender.send(chunk);
        return 0;
    }
    put(&mut chunk, ledger);
    chunk.len()
}

pub(crate) async fn receive_all(mut receiver: Receiver<Item>) -> usize {
    while let Some(chunk) = receiver.recv().await {
        receive(chunk);
    }
    0
}

/// Receives until the link ends, when all of its buffers are demand again.
pub(crate) async fn see_credit_home(receiver: Receiver<Item>, buffers: usize) -> usize {
    receive_all(receiver.clone()).await;
    assert_eq!(receiver.empty_chunks(), buffers);
    0
}

/// Receives some of each chunk, and offers the rest to the others.
pub(crate) async fn receive_and_offer_back(mut receiver: Receiver<Item>) -> usize {
    while let Some(mut chunk) = receiver.recv().await {
        for _ in 0..at_most(chunk.len()) {
            chunk.pop().into_iter().for_each(Item::receive);
        }
        if coin() {
            receiver.offer_back(chunk);
        } else {
            receive(chunk);
        }
    }
    0
}

/// Begins to wait a few times, does any of the things that may follow, and leaves.
pub(crate) async fn come_and_go(mut receiver: Receiver<Item>) -> usize {
    let mut dropped = 0;
    for _ in 0..3 {
        let found = if coin() {
            glance(receiver.recv()).await
        } else {
            poll_once(&mut receiver).await
        };
        match found {
            Some(chunk) if coin() => receive(chunk),
            Some(chunk) if coin() => dropped += chunk.len(),
            Some(chunk) => receiver.offer_back(chunk),
            None if coin() => receiver = receiver.clone(),
            None => receiver.stop_waiting(),
        }
        yield_now().await;
    }
    dropped
}

/// Polls a future, lets others run, and drops it.
pub(crate) async fn glance<T>(future: impl Future<Output = Option<T>>) -> Option<T> {
    let mut future = pin!(future);
    let found = poll_fn(|cx| once(Pin::as_mut(&mut future).poll(cx))).await;
    yield_now().await;
    found
}

/// Asks for a chunk once. From then on the receiver waits, if there is none.
pub(crate) async fn poll_once(receiver: &mut Receiver<Item>) -> Option<Chunk<Item>> {
    poll_fn(|cx| once(receiver.poll_recv(cx))).await
}

fn once<T>(polled: Poll<Option<T>>) -> Poll<Option<T>> {
    match polled {
        Poll::Pending => Poll::Ready(None),
        ready @ Poll::Ready(_) => ready,
    }
}

/// Aborts tasks wherever they are, and waits until they are gone.
pub(crate) async fn abort_at_random(tasks: Vec<Task>) {
    for task in tasks {
        for _ in 0..at_most(8) {
            yield_now().await;
        }
        task.abort();
        drop(task.await);
    }
}

pub(crate) fn receive(mut chunk: Chunk<Item>) {
    chunk.drain().for_each(Item::receive);
}

pub(crate) fn put(chunk: &mut Chunk<Item>, ledger: &Ledger) {
    assert!(chunk.push(ledger.item()).is_ok(), "there is room");
}

fn coin() -> bool {
    thread_rng().gen_bool(0.5)
}

fn at_most(most: usize) -> usize {
    thread_rng().gen_range(0..=most)
}
