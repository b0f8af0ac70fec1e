//! Deadlines, rule by rule.

use std::time::Duration;

use tokio::time::{Instant, advance, sleep};
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task::spawn};
use tower_layer::Layer;

use super::{Deadline, DeadlineService};
use crate::{
    BoxError,
    context::{self, CallContext},
    error::{DeadlinePassed, find},
    probe::{Probe, Remote, Told, call, probe},
    service_fn,
};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn around_probe(deadline: Deadline) -> (DeadlineService<Probe>, Remote) {
    let (probe, remote) = probe(1);
    (deadline.build().unwrap().layer(probe), remote)
}

fn has_passed(error: &BoxError) -> bool {
    find::<DeadlinePassed>(error.as_ref()).is_some()
}

#[tokio::test(start_paused = true)]
async fn a_call_in_time_is_left_alone() {
    let (mut service, remote) = around_probe(Deadline::after(secs(5)));
    let mut future = spawn(call(&mut service, 1));
    assert_pending!(future.poll());
    advance(secs(4)).await;
    remote.take().succeed(7);
    assert!(future.is_woken());
    assert_eq!(assert_ready_ok!(future.poll()), 7);
}

#[tokio::test(start_paused = true)]
async fn a_call_over_its_time_is_dropped_before_its_error_is_seen() {
    let (mut service, remote) = around_probe(Deadline::after(secs(5)));
    let mut future = spawn(call(&mut service, 1));
    assert_pending!(future.poll());
    let inner = remote.take();
    advance(secs(5)).await;
    assert!(future.is_woken());
    let error = assert_ready!(future.poll()).unwrap_err();
    assert!(has_passed(&error));
    assert!(inner.is_dropped() && remote.is_idle(1));
}

#[tokio::test(start_paused = true)]
async fn an_answer_at_the_last_moment_counts() {
    let (mut service, remote) = around_probe(Deadline::after(secs(5)));
    let mut future = spawn(call(&mut service, 1));
    assert_pending!(future.poll());
    advance(secs(6)).await;
    remote.take().succeed(7);
    assert_eq!(assert_ready_ok!(future.poll()), 7);
}

#[tokio::test(start_paused = true)]
async fn the_time_runs_from_the_call_and_not_from_its_first_poll() {
    let (mut service, _remote) = around_probe(Deadline::after(secs(5)));
    let mut future = spawn(call(&mut service, 1));
    advance(secs(5)).await;
    assert!(has_passed(&assert_ready!(future.poll()).unwrap_err()));
}

#[tokio::test(start_paused = true)]
async fn the_earlier_of_two_deadlines_holds() {
    for (outer, inner, holds) in [(2, 5, 2), (5, 2, 2)] {
        let ends = service_fn(|()| async { Ok::<_, BoxError>(context::deadline()) });
        let inner = Deadline::after(secs(inner)).build().unwrap().layer(ends);
        let mut both = Deadline::after(secs(outer)).build().unwrap().layer(inner);
        let seen = call(&mut both, ()).await.unwrap();
        assert_eq!(seen, Some(Instant::now() + secs(holds)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_reads_the_deadline_at_its_call_and_at_every_poll() {
    let handler = service_fn(|()| {
        let at_call = context::deadline();
        async move {
            let first = context::deadline();
            sleep(secs(1)).await;
            Ok::<_, BoxError>([at_call, first, context::deadline()])
        }
    });
    let mut service = Deadline::after(secs(5)).build().unwrap().layer(handler);
    let ends = Some(Instant::now() + secs(5));
    assert_eq!(call(&mut service, ()).await.unwrap(), [ends; 3]);
    assert_eq!(context::deadline(), None, "nothing is left behind");
}

#[tokio::test(start_paused = true)]
async fn an_inherited_deadline_ends_the_call() {
    let (mut service, remote) = around_probe(Deadline::inherited());
    let mut outer = CallContext::default().until(Some(Instant::now() + secs(3)));
    let mut future = context::scope(&mut outer, || spawn(call(&mut service, 1)));
    assert_pending!(future.poll());
    advance(secs(3)).await;
    assert!(has_passed(&assert_ready!(future.poll()).unwrap_err()));
    assert!(remote.take().is_dropped());
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_time_is_over_never_reaches_the_service_and_leaves_it_free() {
    let (mut service, remote) = around_probe(Deadline::inherited());
    let mut outer = CallContext::default().until(Some(Instant::now()));
    let mut future = context::scope(&mut outer, || spawn(call(&mut service, 1)));
    assert!(has_passed(&assert_ready!(future.poll()).unwrap_err()));
    assert!(remote.next().is_none() && remote.is_idle(1));
}

#[test]
fn without_any_deadline_nothing_of_the_runtime_is_needed() {
    let (mut service, remote) = around_probe(Deadline::inherited());
    let mut future = spawn(call(&mut service, 1));
    assert_pending!(future.poll());
    remote.take().succeed(7);
    assert_eq!(assert_ready_ok!(future.poll()), 7);
}

#[test]
fn a_service_that_is_ready_needs_no_timer() {
    let ready = service_fn(|()| std::future::ready(Ok::<_, BoxError>(1)));
    let mut service = Deadline::after(secs(5)).build().unwrap().layer(ready);
    // A timer cannot be made outside of a runtime: it would panic.
    assert_eq!(assert_ready_ok!(spawn(call(&mut service, ())).poll()), 1);
}

#[tokio::test(start_paused = true)]
async fn attempts_that_are_counted_inside_are_seen_outside() {
    let counts = service_fn(|()| async {
        context::set_attempt(context::attempt() + 2);
        Ok::<_, BoxError>(())
    });
    let mut service = Deadline::after(secs(5)).build().unwrap().layer(counts);
    let mut outer = CallContext::of_attempt(3);
    let mut future = spawn(call(&mut service, ()));
    assert_ready_ok!(context::scope(&mut outer, || future.poll()));
    assert_eq!(outer.attempt, 5);
}

#[tokio::test(start_paused = true)]
async fn errors_pass_as_they_are() {
    let (mut service, remote) = around_probe(Deadline::after(secs(5)));
    let mut future = spawn(call(&mut service, 1));
    assert_pending!(future.poll());
    remote.take().fail("no");
    let error = assert_ready!(future.poll()).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Told("no")));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_gives_back_what_it_took() {
    let (mut service, remote) = around_probe(Deadline::after(secs(5)));
    let mut future = spawn(call(&mut service, 1));
    assert_pending!(future.poll());
    drop(future);
    assert!(remote.take().is_dropped() && remote.is_idle(1));
}

#[test]
fn options_are_words_and_their_problems_are_reported() {
    let deadline: Deadline = serde_json::from_str(r#""30s""#).unwrap();
    assert_eq!(deadline, Deadline::after(secs(30)));
    let inherited: Deadline = serde_json::from_str("null").unwrap();
    assert_eq!(inherited, Deadline::inherited());
    assert!(Deadline::after(Duration::ZERO).build().is_err());
}
