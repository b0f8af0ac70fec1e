//! Hedges, rule by rule.

use std::time::Duration;

use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task::spawn};
use tower_layer::Layer;

use super::{Hedge, HedgeLayer, HedgeService};
use crate::probe::{Probe, Remote, Told, call, probe};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn around_probe(hedge: &Hedge, permits: usize) -> (HedgeService<Probe>, Remote, HedgeLayer) {
    let (probe, remote) = probe(permits);
    let layer = hedge.build().unwrap();
    (layer.layer(probe), remote, layer)
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_answered_in_time_is_made_once() {
    let (mut service, remote, layer) = around_probe(&Hedge::after(ms(50)), 5);
    let mut future = spawn(call(&mut service, 1));
    assert_pending!(future.poll());
    advance(ms(49)).await;
    assert_pending!(future.poll());
    remote.take().succeed(7);
    assert_eq!(assert_ready_ok!(future.poll()), 7);
    assert!(remote.next().is_none() && layer.hedged() == 0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_call_is_made_once_more_and_the_first_answer_wins() {
    for winner in [0, 1] {
        let (mut service, remote, layer) = around_probe(&Hedge::after(ms(50)), 5);
        let mut future = spawn(call(&mut service, 3));
        assert_pending!(future.poll());
        advance(ms(50)).await;
        assert!(future.is_woken());
        assert_pending!(future.poll());
        let mut calls = vec![remote.take(), remote.take()];
        assert!(calls.iter().all(|call| call.request == 3));
        calls.remove(winner).succeed(7);
        assert_eq!(assert_ready_ok!(future.poll()), 7);
        assert!(calls[0].is_dropped(), "before the future is");
        assert!(remote.is_idle(5) && layer.hedged() == 1);
    }
}

#[tokio::test(start_paused = true)]
async fn there_are_no_more_calls_than_were_asked_for() {
    let (mut service, remote, _) = around_probe(&Hedge::after(ms(50)).extra(2), 9);
    let mut future = spawn(call(&mut service, 1));
    for calls in [1, 2, 3, 3, 3] {
        assert_pending!(future.poll());
        assert_eq!(9 - remote.free(), calls);
        advance(ms(50)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_before_the_time_is_the_answer() {
    let (mut service, remote, layer) = around_probe(&Hedge::after(ms(50)), 5);
    let mut future = spawn(call(&mut service, 1));
    assert_pending!(future.poll());
    remote.take().fail("no");
    let error = assert_ready!(future.poll()).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Told("no")));
    assert_eq!(layer.hedged(), 0, "a hedge is not a retry");
}

#[tokio::test(start_paused = true)]
async fn an_error_of_one_call_waits_for_the_other() {
    for fails in [0, 1] {
        let (mut service, remote, _) = around_probe(&Hedge::after(ms(50)), 5);
        let mut future = spawn(call(&mut service, 1));
        assert_pending!(future.poll());
        advance(ms(50)).await;
        assert_pending!(future.poll());
        let mut calls = vec![remote.take(), remote.take()];
        calls.remove(fails).fail("no");
        assert_pending!(future.poll());
        calls.remove(0).succeed(7);
        assert_eq!(assert_ready_ok!(future.poll()), 7);
    }
}

#[tokio::test(start_paused = true)]
async fn when_all_have_failed_the_first_error_is_the_answer() {
    let (mut service, remote, _) = around_probe(&Hedge::after(ms(50)), 5);
    let mut future = spawn(call(&mut service, 1));
    assert_pending!(future.poll());
    advance(ms(50)).await;
    assert_pending!(future.poll());
    let (first, second) = (remote.take(), remote.take());
    second.fail("second");
    assert_pending!(future.poll());
    first.fail("first");
    let error = assert_ready!(future.poll()).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Told("second")), "it came first");
}

#[tokio::test(start_paused = true)]
async fn the_further_call_waits_until_the_service_is_ready() {
    let (mut service, remote, _) = around_probe(&Hedge::after(ms(50)), 2);
    let mut other = spawn(call(&mut service, 9));
    let mut future = spawn(call(&mut service, 1));
    assert_pending!(other.poll());
    assert_pending!(future.poll());
    advance(ms(50)).await;
    assert_pending!(future.poll());
    let (nine, _one) = (remote.take(), remote.take());
    assert!(remote.next().is_none());
    nine.succeed(0);
    assert_ready_ok!(other.poll());
    assert!(future.is_woken());
    assert_pending!(future.poll());
    remote.take().succeed(7);
    assert_eq!(assert_ready_ok!(future.poll()), 7);
}

#[tokio::test(start_paused = true)]
async fn a_further_call_that_was_never_made_is_not_paid_for() {
    let (mut service, remote, layer) = around_probe(&Hedge::after(ms(50)), 1);
    let mut future = spawn(call(&mut service, 1));
    assert_pending!(future.poll());
    advance(ms(50)).await;
    assert_pending!(future.poll());
    assert_eq!(layer.hedged(), 1, "it waits to be made");
    remote.take().succeed(7);
    assert_ready_ok!(future.poll());
    assert_eq!(layer.hedged(), 0);
    assert!(remote.is_idle(1));
}

#[tokio::test(start_paused = true)]
async fn the_share_of_further_calls_is_bounded() {
    let (mut service, remote, layer) = around_probe(&Hedge::after(ms(50)).budget(0.05), 2);
    for n in 0..1000 {
        let mut future = spawn(call(&mut service, n));
        assert_pending!(future.poll());
        advance(ms(50)).await;
        assert_pending!(future.poll());
        let first = remote.take();
        drop(remote.next());
        first.succeed(7);
        assert_ready_ok!(future.poll());
    }
    // Ten are saved at the start, and that is when one call may pay in too much.
    assert!((59..=60).contains(&layer.hedged()), "{}", layer.hedged());
}

#[tokio::test(start_paused = true)]
async fn the_percentile_is_used_as_soon_as_it_is_known() {
    let hedge = Hedge::percentile(0.9).min_samples(20);
    let (mut service, remote, layer) = around_probe(&hedge, 5);
    for n in 0..20 {
        assert_eq!(layer.delay(), None);
        let mut future = spawn(call(&mut service, n));
        assert_pending!(future.poll());
        advance(ms(if n == 7 { 500 } else { 10 })).await;
        assert_pending!(future.poll());
        remote.take().succeed(n);
        assert_ready_ok!(future.poll());
    }
    let delay = layer.delay().unwrap();
    assert!((ms(10)..ms(12)).contains(&delay), "{delay:?}");
    let mut future = spawn(call(&mut service, 1));
    assert_pending!(future.poll());
    advance(ms(12)).await;
    assert_pending!(future.poll());
    assert_eq!((remote.free(), layer.hedged()), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_fixed_time_holds_until_the_percentile_is_known() {
    let hedge = Hedge::percentile(0.9).min_samples(1).until_known(ms(80));
    let (mut service, remote, layer) = around_probe(&hedge, 5);
    assert_eq!(layer.delay(), Some(ms(80)));
    let mut future = spawn(call(&mut service, 1));
    assert_pending!(future.poll());
    advance(ms(10)).await;
    remote.take().succeed(1);
    assert_ready_ok!(future.poll());
    assert!(layer.delay().unwrap() < ms(12));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_drops_all_and_gives_back_what_was_not_used() {
    for permits in [1, 2] {
        let (mut service, remote, layer) = around_probe(&Hedge::after(ms(50)), permits);
        let mut future = spawn(call(&mut service, 1));
        assert_pending!(future.poll());
        advance(ms(50)).await;
        assert_pending!(future.poll());
        drop(future);
        assert!(remote.is_idle(permits));
        assert_eq!(layer.hedged(), permits as u64 - 1, "only what was called");
    }
}

#[test]
fn a_service_that_is_ready_needs_no_timer() {
    let ready = crate::service_fn(|n: u64| std::future::ready(Ok::<_, Told>(n)));
    let mut service = Hedge::after(ms(5)).build().unwrap().layer(ready);
    // A timer cannot be made outside of a runtime: it would panic.
    assert_eq!(assert_ready_ok!(spawn(call(&mut service, 3)).poll()), 3);
}

#[test]
fn options_are_read_and_all_their_problems_reported() {
    let text = r#"{ "after": "50ms", "extra": 2, "budget": 0.2 }"#;
    let hedge: Hedge = serde_json::from_str(text).unwrap();
    assert_eq!(hedge, Hedge::after(ms(50)).extra(2).budget(0.2));
    let text = r#"{ "percentile": 95, "min_samples": 0, "extra": 0, "budget": -1 }"#;
    let hedge: Hedge = serde_json::from_str(text).unwrap();
    let error = hedge.build().unwrap_err();
    let paths: Vec<_> = error.problems().iter().map(|p| p.path.as_str()).collect();
    assert_eq!(paths, ["percentile", "min_samples", "extra", "budget"]);
    let nothing: Hedge = serde_json::from_str("{}").unwrap();
    assert!(nothing.build().is_err());
}
