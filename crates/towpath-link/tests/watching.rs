//! What a link shows of itself.

use std::num::NonZeroUsize;

use towpath_link::{Chunk, Receiver, Sender, Size, Watch, link};

fn pair(buffers: usize, max_demand: usize) -> (Sender<u32>, Receiver<u32>, Watch<u32>) {
    let count = |n| NonZeroUsize::new(n).expect("not zero");
    let (sender, receiver) = link(Size {
        buffers: count(buffers),
        max_demand: count(max_demand),
    });
    let watch = sender.watch();
    (sender, receiver, watch)
}

fn filled(sender: &mut Sender<u32>, items: u32) -> Chunk<u32> {
    let mut chunk = sender.try_chunk().expect("demand");
    (0..items).for_each(|item| chunk.push(item).expect("room"));
    chunk
}

fn seen(watch: &Watch<u32>) -> (usize, usize) {
    (watch.items(), watch.demand())
}

#[test]
fn a_chunk_is_demand_until_it_is_sent_and_again_when_it_is_empty() {
    let (mut sender, mut receiver, watch) = pair(2, 4);
    assert_eq!((watch.capacity(), seen(&watch)), (8, (0, 8)));
    let chunk = filled(&mut sender, 3);
    assert_eq!(seen(&watch), (0, 8), "what is in a hand is not sent");
    sender.send(chunk);
    assert_eq!(seen(&watch), (3, 4));
    let mut chunk = receiver.try_recv().unwrap();
    assert_eq!(seen(&watch), (0, 4), "taken out, and no demand yet");
    assert!(chunk.pop().is_some());
    receiver.offer_back(chunk);
    assert_eq!(seen(&watch), (2, 4), "the rest waits again");
    drop(receiver.try_recv());
    assert_eq!(seen(&watch), (0, 8));
}

#[test]
fn without_a_receiver_nothing_waits_and_nothing_is_asked_for() {
    let (mut sender, receiver, watch) = pair(2, 4);
    let late = filled(&mut sender, 1);
    let chunk = filled(&mut sender, 4);
    sender.send(chunk);
    drop(receiver);
    assert_eq!(seen(&watch), (0, 0));
    sender.send(late);
    assert_eq!(seen(&watch), (0, 0));
}

#[test]
fn a_mark_stays_with_what_is_left_of_its_chunk() {
    let (mut sender, mut receiver, _) = pair(1, 4);
    let mut chunk = filled(&mut sender, 2);
    chunk.set_mark(42);
    sender.send(chunk);
    let mut chunk = receiver.try_recv().unwrap();
    assert_eq!((chunk.mark(), chunk.pop()), (42, Some(0)));
    receiver.offer_back(chunk);
    drop(
        receiver
            .try_recv()
            .filter(|chunk| chunk.mark() == 42)
            .unwrap(),
    );
    assert_eq!(
        sender.try_chunk().unwrap().mark(),
        0,
        "empty chunks carry none"
    );
}
