//! Fallbacks, rule by rule.

use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task::spawn};
use tower_layer::Layer;

use super::{Fallback, FallbackFailed};
use crate::{
    BoxError,
    error::find,
    probe::{Told, call, probe},
};

fn is_told(error: &(dyn std::error::Error + 'static), why: &'static str) -> bool {
    find::<Told>(error) == Some(&Told(why))
}

#[tokio::test(start_paused = true)]
async fn a_call_that_goes_well_is_left_alone() {
    let (probe, remote) = probe(1);
    let mut service = Fallback::value(0).layer(probe);
    let mut future = spawn(call(&mut service, 1));
    assert_pending!(future.poll());
    remote.take().succeed(7);
    assert_eq!(assert_ready_ok!(future.poll()), 7);
}

#[tokio::test(start_paused = true)]
async fn a_value_answers_for_a_call_that_failed() {
    let (probe, remote) = probe(1);
    let mut service = Fallback::value(9).layer(probe);
    for _ in 0..2 {
        let mut future = spawn(call(&mut service, 1));
        assert_pending!(future.poll());
        remote.take().fail("no");
        assert_eq!(assert_ready_ok!(future.poll()), 9);
    }
}

#[tokio::test(start_paused = true)]
async fn a_function_makes_an_answer_of_the_error() {
    let (probe, remote) = probe(1);
    let length = |error: BoxError| Ok(error.to_string().len() as u64);
    let mut service = Fallback::with(length).layer(probe);
    let mut future = spawn(call(&mut service, 1));
    assert_pending!(future.poll());
    remote.take().fail("no");
    assert_eq!(assert_ready_ok!(future.poll()), "failed: no".len() as u64);
}

#[tokio::test(start_paused = true)]
async fn a_function_may_let_the_error_pass() {
    let (probe, remote) = probe(1);
    let mut service = Fallback::with(Err).layer(probe);
    let mut future = spawn(call(&mut service, 1));
    assert_pending!(future.poll());
    remote.take().fail("no");
    let error = assert_ready!(future.poll()).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Told("no")));
}

#[tokio::test(start_paused = true)]
async fn another_service_is_called_with_the_same_request() {
    let (first, remote) = probe(1);
    let (second, backup) = probe(1);
    let mut service = Fallback::service(second).layer(first);
    let mut future = spawn(call(&mut service, 5));
    assert_pending!(future.poll());
    assert!(
        backup.next().is_none() && backup.is_idle(1),
        "not before it is needed"
    );
    remote.take().fail("no");
    assert_pending!(future.poll());
    assert!(remote.is_idle(1), "the first call is gone");
    let call = backup.take();
    assert_eq!(call.request, 5);
    call.succeed(8);
    assert_eq!(assert_ready_ok!(future.poll()), 8);
}

#[tokio::test(start_paused = true)]
async fn the_call_waits_until_the_other_service_is_ready_and_readies_it_each_time() {
    let (first, remote) = probe(2);
    let (second, backup) = probe(1);
    let mut service = Fallback::service(second).layer(first);
    let mut one = spawn(call(&mut service, 1));
    let mut two = spawn(call(&mut service, 2));
    assert_pending!(one.poll());
    assert_pending!(two.poll());
    remote.take().fail("no");
    remote.take().fail("no");
    assert_pending!(one.poll());
    assert_pending!(two.poll());
    backup.take().succeed(11);
    assert!(backup.next().is_none(), "it takes one call at a time");
    assert_eq!(assert_ready_ok!(one.poll()), 11);
    assert!(two.is_woken());
    assert_pending!(two.poll());
    backup.take().succeed(12);
    assert_eq!(assert_ready_ok!(two.poll()), 12);
}

#[tokio::test(start_paused = true)]
async fn both_errors_are_kept_when_the_fallback_fails_too() {
    let (first, remote) = probe(1);
    let (second, backup) = probe(1);
    let mut service = Fallback::service(second).layer(first);
    let mut future = spawn(call(&mut service, 1));
    assert_pending!(future.poll());
    remote.take().fail("first");
    assert_pending!(future.poll());
    backup.take().fail("second");
    let error = assert_ready!(future.poll()).unwrap_err();
    assert!(is_told(error.as_ref(), "first"), "in the chain");
    let failed = error.downcast_ref::<FallbackFailed>().unwrap();
    assert!(is_told(failed.failure.as_ref(), "second"));
    assert_eq!(error.to_string(), "the fallback failed too: failed: second");
}

#[tokio::test(start_paused = true)]
async fn only_errors_that_are_meant_fall_back() {
    let (probe, remote) = probe(1);
    let meant = |error: &(dyn std::error::Error + 'static)| is_told(error, "meant");
    let mut service = Fallback::value(0).when(meant).layer(probe);
    let mut future = spawn(call(&mut service, 1));
    assert_pending!(future.poll());
    remote.take().fail("meant");
    assert_eq!(assert_ready_ok!(future.poll()), 0);
    let mut future = spawn(call(&mut service, 1));
    assert_pending!(future.poll());
    remote.take().fail("other");
    let error = assert_ready!(future.poll()).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Told("other")));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_gives_back_what_it_took_wherever_it_was() {
    for (in_backup, is_ready) in [(false, true), (true, true), (true, false)] {
        let (first, remote) = probe(1);
        let (second, backup) = probe(usize::from(is_ready));
        let mut service = Fallback::service(second).layer(first);
        let mut future = spawn(call(&mut service, 1));
        assert_pending!(future.poll());
        if in_backup {
            remote.take().fail("no");
            assert_pending!(future.poll());
            assert_eq!(backup.next().is_some(), is_ready);
        }
        drop(future);
        assert!(remote.is_idle(1) && backup.is_idle(usize::from(is_ready)));
    }
}
