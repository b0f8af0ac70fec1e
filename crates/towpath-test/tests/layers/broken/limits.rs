//! Limits that count wrongly, or do not get back what they gave.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use futures_util::{TryFutureExt, future::BoxFuture};
use tokio::time::Instant;
use tower::{Layer, Service, limit::ConcurrencyLimit, limit::ConcurrencyLimitLayer};
use towpath::BoxError;
use towpath_test::layer::{Failed, Probe, Reply, Rule, Suite};

use super::{finds, lock};

const PLACES: usize = 2;

const MINUTE: Duration = Duration::from_secs(60);

/// A limit by hand: as many may run as there are places, less a fault.
struct ByHand {
    inner: Probe,
    desk: Arc<Desk>,
    place: Option<Place>,
}

struct Desk {
    fault: Fault,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    taken: usize,
    waiting: Vec<Waker>,
}

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// A call that is dropped keeps its place.
    KeptByDropped,
    /// A service that is ready and dropped keeps its place.
    KeptByReady,
    /// A call that panics keeps its place.
    KeptByPanicked,
    /// Only the first in the line is woken, also when that one is gone.
    WakesOne,
    /// It is first the inner service that has to be ready, then there has to be a place.
    InnerFirst,
}

#[derive(PartialEq)]
enum Place {
    Ready,
    Called,
    Polled,
}

struct InPlace {
    reply: Reply<u64>,
    desk: Arc<Desk>,
    place: Option<Place>,
}

impl ByHand {
    fn new(inner: Probe, fault: Fault) -> Self {
        let book = Mutex::default();
        let desk = Arc::new(Desk { fault, book });
        let place = None;
        Self { inner, desk, place }
    }

    fn poll_place(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.place.is_none() {
            ready!(self.desk.poll_take(cx));
            self.place = Some(Place::Ready);
        }
        Poll::Ready(())
    }
}

impl Service<u64> for ByHand {
    type Response = u64;
    type Error = Failed;
    type Future = InPlace;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        if self.desk.fault == Fault::InnerFirst {
            ready!(self.inner.poll_ready(cx))?;
        }
        ready!(self.poll_place(cx));
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: u64) -> InPlace {
        InPlace {
            reply: self.inner.call(request),
            desk: self.desk.clone(),
            place: self.place.take().map(|_| Place::Called),
        }
    }
}

impl Clone for ByHand {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            desk: self.desk.clone(),
            place: None,
        }
    }
}

impl Drop for ByHand {
    fn drop(&mut self) {
        self.desk.give_back(self.place.as_ref());
    }
}

impl Future for InPlace {
    type Output = Result<u64, Failed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.place = Some(Place::Polled);
        let polled = Pin::new(&mut self.reply).poll(cx);
        self.place = Some(Place::Called);
        if polled.is_ready() {
            self.place = None;
            self.desk.leave();
        }
        polled
    }
}

impl Drop for InPlace {
    fn drop(&mut self) {
        self.desk.give_back(self.place.as_ref());
    }
}

impl Desk {
    fn poll_take(&self, cx: &Context<'_>) -> Poll<()> {
        let mut book = lock(&self.book);
        if book.taken == PLACES {
            book.waiting.push(cx.waker().clone());
            return Poll::Pending;
        }
        book.taken += 1;
        Poll::Ready(())
    }

    fn give_back(&self, place: Option<&Place>) {
        let kept = match place {
            None => true,
            Some(Place::Ready) => self.fault == Fault::KeptByReady,
            Some(Place::Called) => self.fault == Fault::KeptByDropped,
            Some(Place::Polled) => self.fault == Fault::KeptByPanicked,
        };
        if !kept {
            self.leave();
        }
    }

    fn leave(&self) {
        let mut book = lock(&self.book);
        book.taken -= 1;
        let woken = match self.fault {
            Fault::WakesOne => book.waiting.len().min(1),
            _ => book.waiting.len(),
        };
        let woken: Vec<_> = book.waiting.drain(..woken).collect();
        drop(book);
        woken.into_iter().for_each(Waker::wake);
    }
}

/// A limit for each clone, instead of one for all.
struct EachItsOwn(ConcurrencyLimit<Probe>);

impl EachItsOwn {
    fn new(inner: Probe) -> Self {
        Self(ConcurrencyLimitLayer::new(PLACES).layer(inner))
    }
}

impl Clone for EachItsOwn {
    fn clone(&self) -> Self {
        Self::new(self.0.get_ref().clone())
    }
}

impl Service<u64> for EachItsOwn {
    type Response = u64;
    type Error = Failed;
    type Future = <ConcurrencyLimit<Probe> as Service<u64>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: u64) -> Self::Future {
        self.0.call(request)
    }
}

/// Lets two in each minute, and rejects the others; those count too.
#[derive(Clone)]
struct CountsRejected {
    inner: Probe,
    desk: Arc<Mutex<(u32, Option<Instant>)>>,
}

impl Service<u64> for CountsRejected {
    type Response = u64;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<u64, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: u64) -> Self::Future {
        let mut desk = lock(&self.desk);
        if desk.1.is_none_or(|since| since.elapsed() >= MINUTE) {
            desk.0 = desk.0.saturating_sub(2);
            desk.1 = Some(Instant::now());
        }
        desk.0 += 1;
        if desk.0 > 2 {
            return Box::pin(async { Err("too many".into()) });
        }
        Box::pin(self.inner.call(request).map_err(Into::into))
    }
}

/// Lets none in for a minute after a failure, then one on trial; forgets that one when it
/// is dropped.
#[derive(Clone)]
struct ForgetsItsTrial {
    inner: Probe,
    gate: Arc<Mutex<Gate>>,
}

#[derive(Default)]
struct Gate {
    opened: Option<Instant>,
    is_trying: bool,
}

impl Gate {
    fn lets_in(&mut self) -> bool {
        match self.opened {
            None => true,
            Some(opened) if self.is_trying || opened.elapsed() < MINUTE => false,
            Some(_) => {
                self.is_trying = true;
                true
            }
        }
    }
}

impl Service<u64> for ForgetsItsTrial {
    type Response = u64;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<u64, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: u64) -> Self::Future {
        if !lock(&self.gate).lets_in() {
            return Box::pin(async { Err("it is open".into()) });
        }
        let (reply, gate) = (self.inner.call(request), self.gate.clone());
        Box::pin(async move {
            let result = reply.await;
            let opened = result.is_err().then(Instant::now);
            let is_trying = false;
            *lock(&gate) = Gate { opened, is_trying };
            Ok(result?)
        })
    }
}

fn by_hand(fault: Fault) -> Suite {
    Suite::new(move |inner| ByHand::new(inner, fault)).runs_at_most(PLACES)
}

#[test]
fn the_limit_by_hand_is_not_broken_without_its_faults() {
    by_hand(Fault::None).check();
}

#[test]
fn a_limit_for_each_clone() {
    let suite = Suite::new(EachItsOwn::new).runs_at_most(PLACES);
    finds(&suite, Rule::Permits, "3 calls are let in instead of 2");
}

#[test]
fn a_limit_that_was_not_announced() {
    let suite = Suite::new(|inner| ByHand::new(inner, Fault::None));
    finds(&suite, Rule::Permits, "say so with `runs_at_most`");
}

#[test]
fn one_that_waits_and_keeps_the_inner_service_ready() {
    finds(
        &by_hand(Fault::InnerFirst),
        Rule::Permits,
        "kept ready and not called",
    );
}

#[test]
fn a_place_that_is_lost_with_a_dropped_call() {
    finds(
        &by_hand(Fault::KeptByDropped),
        Rule::Cancellation,
        "1 calls are let in",
    );
}

#[test]
fn a_place_that_is_lost_with_a_dropped_service() {
    finds(
        &by_hand(Fault::KeptByReady),
        Rule::Cancellation,
        "dropped at point 0",
    );
}

#[test]
fn a_wake_that_is_lost_with_a_dropped_waiter() {
    finds(
        &by_hand(Fault::WakesOne),
        Rule::Cancellation,
        "the other one does not get in",
    );
}

#[test]
fn a_place_that_is_lost_in_a_panic() {
    finds(
        &by_hand(Fault::KeptByPanicked),
        Rule::Panics,
        "1 calls are let in",
    );
}

#[test]
fn a_rejected_call_that_counts() {
    let suite = Suite::new(|inner| CountsRejected {
        inner,
        desk: Arc::default(),
    });
    let suite = suite.admits(2, MINUTE).rejects();
    finds(&suite, Rule::Cancellation, "calls are refused");
}

#[test]
fn a_trial_that_is_lost_with_a_dropped_call() {
    let suite = Suite::new(|inner| ForgetsItsTrial {
        inner,
        gate: Arc::default(),
    });
    let suite = suite.opens_after(1, MINUTE).rejects();
    finds(&suite, Rule::Cancellation, "the next one does not get in");
}
