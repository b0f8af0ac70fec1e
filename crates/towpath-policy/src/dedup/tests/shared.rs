//! Dedup with a store that others share.

use std::{
    collections::HashMap,
    future::{pending, ready},
    sync::{Arc, Mutex},
};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::time::Instant;

use super::*;
use crate::{
    context::{self, CallContext},
    dedup::{Claim, Claimed, DedupStore, DedupStoreFailed},
};

/// Who holds each key, or nobody when it is done; and until when.
type Keys = HashMap<Key, (Option<(u64, u64)>, Instant)>;

/// A store in memory that may be told to fail or to hang.
#[derive(Debug, Default)]
struct Fake {
    keys: Mutex<Keys>,
    mood: Mutex<Mood>,
    renewed: Mutex<u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mood {
    #[default]
    Well,
    Failing,
    Hanging,
}

impl Fake {
    fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn answer<T: Send + 'static>(
        &self,
        answer: impl FnOnce(&mut Keys) -> T,
    ) -> BoxFuture<'static, Result<T, BoxError>> {
        match *self.mood.lock().unwrap() {
            Mood::Failing => ready(Err("no store".into())).boxed(),
            Mood::Hanging => pending().boxed(),
            Mood::Well => {
                let mut keys = self.keys.lock().unwrap();
                keys.retain(|_, (_, until)| Instant::now() < *until);
                ready(Ok(answer(&mut keys))).boxed()
            }
        }
    }
}

impl DedupStore for Fake {
    fn claim(
        &self,
        claim: Claim,
        lease: Duration,
    ) -> BoxFuture<'static, Result<Claimed, BoxError>> {
        self.answer(|keys| match keys.get(&claim.key) {
            Some((None, _)) if !claim.again => Claimed::Done,
            Some((Some((owner, _)), until)) if *owner != claim.owner => {
                Claimed::Held(*until - Instant::now())
            }
            _ => {
                let by = Some((claim.owner, claim.number));
                keys.insert(claim.key, (by, Instant::now() + lease));
                Claimed::Yes
            }
        })
    }

    fn renew(&self, claim: Claim, lease: Duration) -> BoxFuture<'static, Result<(), BoxError>> {
        *self.renewed.lock().unwrap() += 1;
        self.answer(|keys| {
            if let Some((by, until)) = keys.get_mut(&claim.key)
                && *by == Some((claim.owner, claim.number))
            {
                *until = Instant::now() + lease;
            }
        })
    }

    fn complete(&self, claim: Claim, ttl: Duration) -> BoxFuture<'static, Result<(), BoxError>> {
        self.answer(|keys| {
            keys.insert(claim.key, (None, Instant::now() + ttl));
        })
    }

    fn release(&self, claim: Claim) -> BoxFuture<'static, Result<(), BoxError>> {
        self.answer(|keys| {
            keys.retain(|key, (by, _)| {
                *key != claim.key || *by != Some((claim.owner, claim.number))
            });
        })
    }
}

/// Two processes: layers of their own, one store.
fn processes(dedup: impl Fn() -> Dedup<Tens>) -> (Rig, Rig, Arc<Fake>) {
    let store = Arc::new(Fake::default());
    let shared = || dedup().shared(store.clone(), "orders");
    let (one, two) = (Rig::new(shared(), 2), Rig::new(shared(), 2));
    (one, two, store)
}

#[tokio::test(start_paused = true)]
async fn what_one_process_has_done_the_other_knows() {
    let (mut one, mut two, _) = processes(|| by_tens().ttl(secs(60)));
    one.succeed(11);
    assert!(two.is_known(12) && one.is_known(12));
    advance(secs(60)).await;
    two.succeed(13);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_delivered_again_is_worked_on_whichever_process_has_done_its_key() {
    let (mut one, mut two, _) = processes(by_tens);
    one.succeed(11);
    for rig in [&mut two, &mut one] {
        let mut context = CallContext::of_attempt(2).redelivered(true);
        let service = &mut rig.service;
        let mut again = spawn(context::scope(&mut context, || call(service, 11)));
        assert_pending!(again.poll());
        rig.remote.take().succeed(1);
        assert_ready_ok!(again.poll());
        assert!(rig.is_known(12));
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_delivered_again_waits_for_the_call_of_another_process() {
    let (mut one, mut two, _) = processes(by_tens);
    let mut first = one.start(11);
    let mut context = CallContext::of_attempt(2).redelivered(true);
    let service = &mut two.service;
    let mut again = spawn(context::scope(&mut context, || call(service, 11)));
    assert_pending!(again.poll());
    assert!(two.remote.next().is_none());
    one.remote.take().succeed(1);
    assert_ready_ok!(first.poll());
    advance(secs(1)).await;
    // The call in flight was most likely of this very message, and nobody heeds its outcome.
    assert_pending!(again.poll());
    two.remote.take().succeed(2);
    assert_ready_ok!(again.poll());
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_waits_for_the_call_of_another_process_and_holds_nothing() {
    let (mut one, mut two, _) = processes(by_tens);
    let mut first = one.start(11);
    let mut second = two.start(12);
    assert!(two.remote.next().is_none() && two.remote.is_idle(2));
    one.remote.take().succeed(1);
    assert_ready_ok!(first.poll());
    advance(secs(1)).await;
    assert!(second.is_woken());
    assert!(is_duplicate(&assert_ready!(second.poll()).unwrap_err()));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_failed_frees_the_key_for_another_process() {
    let (mut one, mut two, _) = processes(by_tens);
    let mut first = one.start(11);
    let mut second = two.start(12);
    one.remote.take().fail("no");
    assert!(assert_ready!(first.poll()).is_err());
    advance(secs(1)).await;
    assert_pending!(second.poll());
    two.remote.take().succeed(2);
    assert_ready_ok!(second.poll());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_is_taken_over_here_at_once_and_elsewhere_after_its_lease() {
    let (mut one, mut two, _) = processes(|| by_tens().lease(secs(30)));
    drop(one.start(11));
    drop(one.remote.take());
    let here = one.start(12);
    assert_eq!(one.remote.take().request, 12);
    drop(here);
    let mut elsewhere = two.start(13);
    for _ in 0..29 {
        advance(secs(1)).await;
        assert_pending!(elsewhere.poll());
        assert!(two.remote.next().is_none());
    }
    advance(secs(1)).await;
    assert_pending!(elsewhere.poll());
    assert_eq!(two.remote.take().request, 13);
}

#[tokio::test(start_paused = true)]
async fn a_long_call_keeps_its_claim() {
    let (mut one, mut two, store) = processes(|| by_tens().lease(secs(30)));
    let mut first = one.start(11);
    let mut second = two.start(12);
    for _ in 0..100 {
        advance(secs(1)).await;
        assert_pending!(first.poll());
        assert_pending!(second.poll());
    }
    assert!(two.remote.next().is_none());
    assert!((9..=10).contains(&*store.renewed.lock().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn without_the_store_calls_fail_closed_or_open() {
    let (mut closed, _, store) = processes(by_tens);
    store.set(Mood::Failing);
    let error = assert_ready!(spawn(call(&mut closed.service, 11)).poll()).unwrap_err();
    assert!(find::<DedupStoreFailed>(error.as_ref()).is_some());
    assert!(closed.remote.next().is_none() && closed.remote.is_idle(2));
    store.set(Mood::Well);
    closed.succeed(11);

    let (mut open, _, store) = processes(|| by_tens().fail_open());
    store.set(Mood::Failing);
    open.succeed(11);
    assert!(open.is_known(12), "here it is known");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_succeeded_has_succeeded_though_the_store_cannot_be_told() {
    let (mut one, mut two, store) = processes(by_tens);
    let mut first = one.start(11);
    store.set(Mood::Failing);
    one.remote.take().succeed(7);
    assert_eq!(assert_ready_ok!(first.poll()), 7);
    store.set(Mood::Well);
    assert!(one.is_known(12) && !two.is_known(12));
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_at_any_wait_gives_back_what_it_took() {
    for hangs_at in ["claim", "call", "complete"] {
        let (mut one, _, store) = processes(by_tens);
        if hangs_at == "claim" {
            store.set(Mood::Hanging);
        }
        let mut first = one.start(11);
        if hangs_at == "complete" {
            store.set(Mood::Hanging);
            one.remote.take().succeed(7);
            assert_pending!(first.poll());
            assert!(one.remote.is_idle(2), "the call itself is over");
        }
        let mut second = one.start(12);
        drop(first);
        drop(one.remote.next());
        store.set(Mood::Well);
        assert!(second.is_woken(), "{hangs_at}");
        assert_pending!(second.poll());
        assert_eq!(one.remote.take().request, 12);
        drop(second);
        assert!(one.remote.is_idle(2) && one.layer.in_flight() == 0);
    }
}

#[tokio::test(start_paused = true)]
async fn duplicates_here_wait_until_the_store_was_told() {
    let (mut one, _, store) = processes(by_tens);
    let mut first = one.start(11);
    let mut second = one.start(12);
    store.set(Mood::Hanging);
    one.remote.take().succeed(7);
    assert_pending!(first.poll());
    assert!(!second.is_woken());
    assert_pending!(second.poll());
}
