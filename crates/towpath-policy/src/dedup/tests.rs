//! Dedup, rule by rule.

mod again;
mod model;
mod shared;

use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt;
use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task::spawn};
use tower_layer::Layer;
use tower_service::Service;

use super::{Before, ByKey, Dedup, DedupFuture, DedupLayer, DedupService, NoKey};
use crate::{
    BoxError, Key,
    error::{Duplicate, find},
    probe::{Probe, Remote, Told, call, probe},
};

type Task = tokio_test::task::Spawn<DedupFuture<Probe, u64>>;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// The tens are the key: 11 and 12 are the same request.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "what a dedup asks for")]
fn tens(request: &u64) -> u64 {
    request / 10
}

type Tens = ByKey<fn(&u64) -> u64>;

fn by_tens() -> Dedup<Tens> {
    Dedup::by_key(tens as fn(&u64) -> u64)
}

struct Rig {
    service: DedupService<Probe, Tens>,
    remote: Remote,
    layer: DedupLayer<Tens>,
}

impl Rig {
    fn new(dedup: Dedup<Tens>, permits: usize) -> Self {
        let (probe, remote) = probe(permits);
        let layer = dedup.build().unwrap();
        let service = layer.layer(probe);
        Self {
            service,
            remote,
            layer,
        }
    }

    /// A call that was polled once and is not over.
    fn start(&mut self, request: u64) -> Task {
        let mut task = spawn(call(&mut self.service, request));
        assert_pending!(task.poll());
        task
    }

    /// A call that succeeds.
    fn succeed(&mut self, request: u64) {
        let mut task = self.start(request);
        self.remote.take().succeed(request);
        assert_ready_ok!(task.poll());
    }

    fn is_known(&mut self, request: u64) -> bool {
        let mut task = spawn(call(&mut self.service, request));
        let is_known = match task.poll() {
            std::task::Poll::Ready(result) => is_duplicate(&result.unwrap_err()),
            std::task::Poll::Pending => false,
        };
        drop(task);
        drop(self.remote.next());
        is_known
    }
}

fn is_duplicate(error: &BoxError) -> bool {
    find::<Duplicate>(error.as_ref()).is_some()
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_answered_is_not_called_again_for_the_time_to_live() {
    let mut rig = Rig::new(by_tens().ttl(secs(60)), 1);
    rig.succeed(11);
    for passed in [30, 29] {
        advance(secs(passed)).await;
        let error = assert_ready!(spawn(call(&mut rig.service, 12)).poll()).unwrap_err();
        let duplicate = error.downcast_ref::<Duplicate>().unwrap();
        assert_eq!(duplicate.key, Key::from(1_u64));
        assert!(rig.remote.next().is_none());
    }
    advance(secs(1)).await;
    rig.succeed(13);
}

#[tokio::test(start_paused = true)]
async fn other_keys_pass() {
    let mut rig = Rig::new(by_tens(), 3);
    let _one = rig.start(11);
    let _two = rig.start(21);
    assert_eq!(rig.layer.in_flight(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_waits_and_fails_when_the_first_succeeds() {
    let mut rig = Rig::new(by_tens(), 3);
    let mut first = rig.start(11);
    let mut duplicates = [rig.start(12), rig.start(13)];
    let inner = rig.remote.take();
    assert!(rig.remote.next().is_none());
    inner.succeed(7);
    assert_eq!(assert_ready_ok!(first.poll()), 7);
    for duplicate in &mut duplicates {
        assert!(duplicate.is_woken());
        assert!(is_duplicate(&assert_ready!(duplicate.poll()).unwrap_err()));
    }
    assert!(rig.remote.next().is_none());
}

#[tokio::test(start_paused = true)]
async fn when_the_first_fails_the_longest_waiting_takes_over() {
    let mut rig = Rig::new(by_tens(), 3);
    let mut first = rig.start(11);
    let (mut second, mut third) = (rig.start(12), rig.start(13));
    rig.remote.take().fail("no");
    let error = assert_ready!(first.poll()).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Told("no")));
    assert!(second.is_woken() && !third.is_woken());
    assert_pending!(second.poll());
    let inner = rig.remote.take();
    assert_eq!(inner.request, 12);
    inner.succeed(7);
    assert_eq!(assert_ready_ok!(second.poll()), 7);
    assert!(is_duplicate(&assert_ready!(third.poll()).unwrap_err()));
}

#[tokio::test(start_paused = true)]
async fn when_the_first_is_dropped_the_longest_waiting_takes_over() {
    let mut rig = Rig::new(by_tens(), 3);
    let first = rig.start(11);
    let (mut second, third) = (rig.start(12), rig.start(13));
    let inner = rig.remote.take();
    drop(first);
    assert!(inner.is_dropped() && second.is_woken() && !third.is_woken());
    assert_pending!(second.poll());
    assert_eq!(rig.remote.take().request, 12);
}

#[tokio::test(start_paused = true)]
async fn one_that_took_over_and_is_dropped_unseen_hands_on() {
    let mut rig = Rig::new(by_tens(), 3);
    let first = rig.start(11);
    let (second, mut third) = (rig.start(12), rig.start(13));
    drop(rig.remote.take());
    drop(first);
    assert!(second.is_woken());
    drop(second);
    assert!(third.is_woken());
    assert_pending!(third.poll());
    assert_eq!(rig.remote.take().request, 13);
}

#[tokio::test(start_paused = true)]
async fn one_that_gave_up_waiting_is_passed_over() {
    let mut rig = Rig::new(by_tens(), 3);
    let first = rig.start(11);
    let (second, mut third) = (rig.start(12), rig.start(13));
    drop(rig.remote.take());
    drop(second);
    drop(first);
    assert!(third.is_woken());
    assert_pending!(third.poll());
    assert_eq!(rig.remote.take().request, 13);
    drop(third);
    assert_eq!((rig.layer.in_flight(), rig.layer.remembered()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_panic_frees_the_key() {
    let bang = crate::service_fn(|n: u64| async move {
        assert!(n != 11, "bang");
        Ok::<_, BoxError>(n)
    });
    let mut service = by_tens().build().unwrap().layer(bang);
    let first = call(&mut service, 11);
    let second = call(&mut service, 12);
    assert!(AssertUnwindSafe(first).catch_unwind().await.is_err());
    assert_eq!(second.await.unwrap(), 12);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_holds_nothing_of_the_service() {
    let mut rig = Rig::new(by_tens(), 2);
    let _first = rig.start(11);
    let _duplicate = rig.start(12);
    assert_eq!(rig.remote.free(), 1, "the first holds one");
    let mut full = Rig::new(by_tens().max_keys(1), 2);
    let _first = full.start(11);
    let _other = full.start(21);
    assert_eq!(full.remote.free(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_known_call_leaves_nothing_readied_behind() {
    let mut rig = Rig::new(by_tens(), 1);
    rig.succeed(11);
    assert!(rig.is_known(12));
    assert!(rig.remote.is_idle(1));
}

#[tokio::test(start_paused = true)]
async fn one_that_takes_over_waits_until_the_service_is_ready() {
    let mut rig = Rig::new(by_tens(), 2);
    let first = rig.start(11);
    let mut duplicate = rig.start(12);
    drop(rig.remote.take());
    let mut other = rig.start(21);
    let inner = rig.remote.take();
    // Readied, and so the last permit is taken as soon as the first call is gone.
    let mut taker = spawn(rig.service.clone());
    assert_pending!(taker.enter(|cx, mut service| service.poll_ready(cx)));
    drop(first);
    assert!(assert_ready!(taker.enter(|cx, mut service| service.poll_ready(cx))).is_ok());
    assert_pending!(duplicate.poll());
    assert!(rig.remote.next().is_none());
    inner.succeed(1);
    assert_ready_ok!(other.poll());
    assert!(duplicate.is_woken());
    assert_pending!(duplicate.poll());
    assert_eq!(rig.remote.take().request, 12);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_dropped_while_it_readies_the_service_hands_on() {
    let mut rig = Rig::new(by_tens(), 1);
    let first = rig.start(11);
    let start = |request| {
        let mut service = rig.service.clone();
        // Not readied: a call that waits has given that back.
        let before = Before {
            service: service.unreadied(),
            request,
        };
        let ticket = rig.layer.local.ticket(Key::from(request / 10));
        let mut task = spawn(DedupFuture::waiting(before, ticket));
        assert_pending!(task.poll());
        task
    };
    let (mut second, mut third) = (start(12), start(13));
    let mut taker = spawn(rig.service.clone());
    assert_pending!(taker.enter(|cx, mut service| service.poll_ready(cx)));
    drop(rig.remote.take());
    drop(first);
    assert_pending!(second.poll());
    assert!(rig.remote.next().is_none(), "the permit is taken");
    drop(second);
    assert!(third.is_woken());
    assert_pending!(third.poll());
    drop(taker);
    assert_pending!(third.poll());
    assert_eq!(rig.remote.take().request, 13);
}

#[tokio::test(start_paused = true)]
async fn the_key_that_is_over_first_is_forgotten_when_there_are_too_many() {
    let mut rig = Rig::new(by_tens().max_keys(2), 1);
    for request in [11, 21, 31] {
        rig.succeed(request);
        advance(secs(1)).await;
    }
    assert_eq!(rig.layer.remembered(), 2);
    assert!(!rig.is_known(11) && rig.is_known(31));
}

#[tokio::test(start_paused = true)]
async fn when_all_keys_are_in_flight_others_wait_their_turn() {
    let mut rig = Rig::new(by_tens().max_keys(2), 9);
    let mut one = rig.start(11);
    let two = rig.start(21);
    let (mut three, mut four) = (rig.start(31), rig.start(41));
    let (inner, _two) = (rig.remote.take(), rig.remote.take());
    assert!(rig.remote.next().is_none());
    inner.succeed(1);
    assert_ready_ok!(one.poll());
    assert!(three.is_woken() && !four.is_woken());
    let mut late = rig.start(51);
    assert!(rig.remote.next().is_none(), "nobody overtakes");
    assert_pending!(three.poll());
    assert_eq!(rig.remote.take().request, 31);
    drop(two);
    assert!(four.is_woken() && !late.is_woken());
    assert_pending!(four.poll());
    assert_eq!(rig.remote.take().request, 41);
    drop(four);
    assert!(late.is_woken());
    assert_pending!(late.poll());
    assert_eq!(rig.remote.take().request, 51);
    assert_eq!(rig.layer.in_flight(), 2);
}

#[tokio::test(start_paused = true)]
async fn one_that_gives_up_its_turn_leaves_it_to_the_next() {
    let mut rig = Rig::new(by_tens().max_keys(1), 9);
    let one = rig.start(11);
    let (two, mut three) = (rig.start(21), rig.start(31));
    drop(one);
    assert!(two.is_woken() && !three.is_woken());
    drop(two);
    assert!(three.is_woken());
    assert_pending!(three.poll());
    assert_eq!(rig.layer.in_flight(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_waited_for_room_learns_that_it_is_a_duplicate() {
    let mut rig = Rig::new(by_tens().max_keys(1), 9);
    let mut one = rig.start(11);
    let (mut two, mut again) = (rig.start(21), rig.start(22));
    rig.remote.take().succeed(1);
    assert_ready_ok!(one.poll());
    assert_pending!(two.poll());
    rig.remote.take().succeed(2);
    assert_ready_ok!(two.poll());
    assert!(again.is_woken());
    assert!(is_duplicate(&assert_ready!(again.poll()).unwrap_err()));
}

#[tokio::test(start_paused = true)]
async fn services_of_one_layer_share_what_they_know() {
    let mut rig = Rig::new(by_tens(), 1);
    rig.succeed(11);
    let (other, remote) = probe(1);
    let mut other = rig.layer.clone().layer(other);
    assert!(is_duplicate(&call(&mut other, 12).await.unwrap_err()));
    let mut clone = rig.service.clone();
    assert!(is_duplicate(&call(&mut clone, 12).await.unwrap_err()));
    assert!(remote.next().is_none());
}

#[test]
fn options_are_read_and_all_their_problems_reported() {
    let text = r#"{ "ttl": "5m", "max_keys": 10, "when_store_fails": "open" }"#;
    let read: Dedup<NoKey> = serde_json::from_str(text).unwrap();
    let written = by_tens().ttl(secs(300)).max_keys(10).fail_open();
    assert_eq!(format!("{:?}", read.keyed(tens)), format!("{written:?}"));
    let bad = by_tens()
        .ttl(Duration::ZERO)
        .max_keys(0)
        .lease(Duration::ZERO);
    let error = bad.build().unwrap_err();
    let paths: Vec<_> = error.problems().iter().map(|p| p.path.as_str()).collect();
    assert_eq!(paths, ["ttl", "max_keys", "lease"]);
}
