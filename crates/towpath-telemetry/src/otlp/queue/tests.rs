//! What waits, what is taken, what finds no room.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;

const DELAY: Duration = Duration::from_secs(5);

fn queue(capacity: usize, batch: usize) -> Queue<u32> {
    Queue::new(Pace {
        capacity,
        batch,
        delay: DELAY,
        timeout: Duration::from_secs(30),
    })
}

fn fill(queue: &Queue<u32>, count: u32) {
    for item in 0..count {
        queue.put(item);
    }
}

#[test]
fn what_finds_the_queue_full_is_lost_and_counted() {
    let queue = queue(3, 2);
    fill(&queue, 5);
    let counts = queue.counts();
    assert_eq!((counts.emitted, counts.overflowed), (5, 2));
    assert_eq!(counts.waiting(), 3);
}

#[test]
fn the_oldest_go_first_a_batch_at_a_time() {
    let queue = queue(10, 2);
    fill(&queue, 3);
    let mut first = queue.take().unwrap();
    assert_eq!(first.items(), [0, 1]);
    first.sent(0);
    assert_eq!(queue.take().unwrap().items(), [2]);
    assert!(queue.take().is_none());
}

#[test]
fn a_batch_that_is_given_up_on_its_way_is_cut_off() {
    let queue = queue(10, 2);
    fill(&queue, 3);
    drop(queue.take());
    queue.abandon(|counts| &mut counts.cut_off);
    queue.put(4);
    let counts = queue.counts();
    assert_eq!((counts.cut_off, counts.waiting()), (4, 0));
}

#[test]
fn a_collector_cannot_refuse_more_than_it_was_sent() {
    let queue = queue(10, 2);
    fill(&queue, 2);
    queue.take().unwrap().sent(100);
    let counts = queue.counts();
    assert_eq!((counts.sent, counts.failed), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_is_due_at_once_and_fewer_after_the_delay() {
    let queue = queue(10, 2);
    let began = tokio::time::Instant::now();
    fill(&queue, 2);
    queue.due().await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    drop(queue.take());
    fill(&queue, 1);
    queue.due().await;
    assert_eq!(began.elapsed(), DELAY);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_batch_is_woken_by_what_fills_it_and_by_the_end() {
    let queue = queue(10, 2);
    let began = tokio::time::Instant::now();
    tokio::join!(queue.due(), async { fill(&queue, 2) });
    drop(queue.take());
    tokio::join!(queue.due(), async { queue.close() });
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[test]
fn a_flush_waits_for_what_was_there_and_not_for_what_came_later() {
    let queue = Arc::new(queue(10, 5));
    fill(&queue, 2);
    let flushing = std::thread::spawn({
        let queue = Arc::clone(&queue);
        move || queue.flush(Duration::from_secs(60))
    });
    while !queue.is_due() {
        std::thread::yield_now();
    }
    let batch = queue.take().unwrap();
    fill(&queue, 1);
    batch.sent(0);
    assert!(flushing.join().unwrap());
    assert!(!queue.is_due(), "what came later waits for more");
    assert!(!queue.flush(Duration::ZERO), "and is not settled");
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Put,
    Send(u64),
    Fail,
    Drop,
    Abandon,
    Close,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        20 => Just(Act::Put),
        4 => (0..5_u64).prop_map(Act::Send),
        2 => Just(Act::Fail),
        2 => Just(Act::Drop),
        1 => Just(Act::Abandon),
        1 => Just(Act::Close),
    ];
    prop::collection::vec(act, 0..200)
}

fn act(queue: &Queue<u32>, act: Act) {
    match (act, act_needs_batch(act).then(|| queue.take()).flatten()) {
        (Act::Put, _) => queue.put(0),
        (Act::Abandon, _) => queue.abandon(|counts| &mut counts.failed),
        (Act::Close, _) => queue.close(),
        (Act::Send(refused), Some(batch)) => batch.sent(refused),
        (Act::Fail, Some(batch)) => batch.lost(|counts| &mut counts.unwanted),
        (Act::Send(_) | Act::Fail | Act::Drop, _) => {}
    }
}

fn act_needs_batch(act: Act) -> bool {
    matches!(act, Act::Send(_) | Act::Fail | Act::Drop)
}

proptest! {
    #[test]
    fn the_accounts_add_up_at_any_moment(acts in acts(), capacity in 1..20_usize) {
        let queue = queue(capacity, 4);
        let mut put = 0;
        for next in acts {
            put += u64::from(matches!(next, Act::Put));
            act(&queue, next);
            let waiting = queue.lock().waiting.len() as u64;
            let counts = queue.counts();
            prop_assert_eq!(counts.emitted, put);
            prop_assert_eq!(counts.emitted, counts.sent + counts.lost() + waiting);
            prop_assert!(waiting <= capacity as u64);
        }
    }
}
