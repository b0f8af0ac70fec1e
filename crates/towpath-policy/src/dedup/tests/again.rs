//! Messages that are delivered again: they were given back, so they are not finished.

use super::*;
use crate::context::{self, CallContext};

/// A call for a message that was given back since it was delivered first.
fn again(rig: &mut Rig, request: u64) -> Task {
    let mut context = CallContext::of_attempt(2).redelivered(true);
    let service = &mut rig.service;
    spawn(context::scope(&mut context, || call(service, request)))
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_delivered_again_is_worked_on_though_its_key_is_remembered() {
    let mut rig = Rig::new(by_tens(), 1);
    rig.succeed(11);
    for answer in [1, 2] {
        let mut task = again(&mut rig, 11);
        assert_pending!(task.poll());
        assert_eq!((rig.layer.in_flight(), rig.layer.remembered()), (1, 0));
        rig.remote.take().succeed(answer);
        assert_eq!(assert_ready_ok!(task.poll()), answer);
        assert!(rig.is_known(12), "a duplicate is one as before");
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_to_live_begins_with_the_last_success() {
    let mut rig = Rig::new(by_tens().ttl(secs(60)), 1);
    rig.succeed(11);
    advance(secs(59)).await;
    let mut task = again(&mut rig, 11);
    assert_pending!(task.poll());
    rig.remote.take().succeed(1);
    assert_ready_ok!(task.poll());
    advance(secs(59)).await;
    assert!(rig.is_known(12));
}

#[tokio::test(start_paused = true)]
async fn attempts_in_place_are_no_deliveries() {
    let mut rig = Rig::new(by_tens(), 1);
    rig.succeed(11);
    let mut context = CallContext::of_attempt(3);
    let service = &mut rig.service;
    let mut task = spawn(context::scope(&mut context, || call(service, 12)));
    assert!(is_duplicate(&assert_ready!(task.poll()).unwrap_err()));
}

#[tokio::test(start_paused = true)]
async fn one_that_is_delivered_again_waits_for_a_call_in_flight_and_takes_its_outcome() {
    for first_succeeds in [true, false] {
        let mut rig = Rig::new(by_tens(), 2);
        let mut first = rig.start(11);
        let mut second = again(&mut rig, 12);
        assert_pending!(second.poll());
        let inner = rig.remote.take();
        assert!(rig.remote.next().is_none());
        if first_succeeds {
            inner.succeed(1);
            assert_ready_ok!(first.poll());
            assert!(is_duplicate(&assert_ready!(second.poll()).unwrap_err()));
        } else {
            inner.fail("no");
            assert!(assert_ready!(first.poll()).is_err());
            assert_pending!(second.poll());
            assert_eq!(rig.remote.take().request, 12);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn duplicates_wait_for_one_that_is_delivered_again_as_for_any_other() {
    let mut rig = Rig::new(by_tens(), 2);
    rig.succeed(11);
    let mut first = again(&mut rig, 11);
    assert_pending!(first.poll());
    let mut second = rig.start(12);
    rig.remote.take().fail("no");
    assert!(assert_ready!(first.poll()).is_err());
    assert!(second.is_woken());
    assert_pending!(second.poll());
    assert_eq!(rig.remote.take().request, 12);
}
