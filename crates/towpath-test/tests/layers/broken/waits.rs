//! Layers that wait without a waker, with the wrong one, or by looking again and again;
//! and one on another clock.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use tokio::time::{Sleep, sleep};
use tower::Service;
use towpath_test::layer::{Failed, Probe, Reply, Rule, Suite};

use super::{finds, lock};

const OPEN: Duration = Duration::from_secs(30);

/// Waits for its answer, with a fault.
#[derive(Clone)]
struct Waits {
    inner: Probe,
    fault: Fault,
}

#[derive(Clone, Copy)]
enum Fault {
    /// Polls the inner future with a waker that wakes nobody.
    NoWaker,
    /// Asks to be polled again at once, always.
    Spins,
    /// Looks every millisecond.
    Looks,
    /// Keeps the first waker it was given.
    FirstWaker,
}

struct Wait {
    reply: Reply<u64>,
    fault: Fault,
    first: Option<Waker>,
    timer: Pin<Box<Sleep>>,
}

struct Nobody;

impl Wake for Nobody {
    fn wake(self: Arc<Self>) {}
}

impl Service<u64> for Waits {
    type Response = u64;
    type Error = Failed;
    type Future = Wait;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: u64) -> Wait {
        Wait {
            reply: self.inner.call(request),
            fault: self.fault,
            first: None,
            timer: Box::pin(sleep(Duration::ZERO)),
        }
    }
}

impl Wait {
    fn poll_with(&mut self, waker: &Waker) -> Poll<Result<u64, Failed>> {
        Pin::new(&mut self.reply).poll(&mut Context::from_waker(waker))
    }

    fn poll_every_millisecond(&mut self, cx: &mut Context<'_>) {
        while self.timer.as_mut().poll(cx).is_ready() {
            self.timer.set(sleep(Duration::from_millis(1)));
        }
    }
}

impl Future for Wait {
    type Output = Result<u64, Failed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.fault {
            Fault::NoWaker => {}
            Fault::Spins => cx.waker().wake_by_ref(),
            Fault::Looks => self.poll_every_millisecond(cx),
            Fault::FirstWaker => {
                let first = self.first.get_or_insert_with(|| cx.waker().clone()).clone();
                return self.poll_with(&first);
            }
        }
        self.poll_with(&Waker::from(Arc::new(Nobody)))
    }
}

/// Lets none in for a while after each failure, and leaves no timer behind.
#[derive(Clone)]
struct Opens {
    inner: Probe,
    until: Arc<Mutex<Option<tokio::time::Instant>>>,
}

struct Watched {
    reply: Reply<u64>,
    until: Arc<Mutex<Option<tokio::time::Instant>>>,
}

impl Service<u64> for Opens {
    type Response = u64;
    type Error = Failed;
    type Future = Watched;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        let until = *lock(&self.until);
        if until.is_some_and(|until| tokio::time::Instant::now() < until) {
            return Poll::Pending;
        }
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: u64) -> Watched {
        Watched {
            reply: self.inner.call(request),
            until: self.until.clone(),
        }
    }
}

impl Future for Watched {
    type Output = Result<u64, Failed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = Pin::new(&mut self.reply).poll(cx);
        if let Poll::Ready(Err(_)) = &polled {
            *lock(&self.until) = Some(tokio::time::Instant::now() + OPEN);
        }
        polled
    }
}

/// Admits one call a minute, by the clock on the wall.
struct ByTheWall {
    inner: Probe,
    last: Arc<Mutex<Option<Instant>>>,
    timer: Option<Pin<Box<Sleep>>>,
}

#[expect(clippy::disallowed_types, reason = "this is the mistake")]
type Instant = std::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);

impl Service<u64> for ByTheWall {
    type Response = u64;
    type Error = Failed;
    type Future = Reply<u64>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        let last = *lock(&self.last);
        while let Some(left) = last.and_then(|last| MINUTE.checked_sub(last.elapsed())) {
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(left)));
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.timer = None;
        }
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: u64) -> Reply<u64> {
        *lock(&self.last) = Some(Instant::now());
        self.inner.call(request)
    }
}

impl Clone for ByTheWall {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            last: self.last.clone(),
            timer: None,
        }
    }
}

fn waits(fault: Fault) -> Suite {
    Suite::new(move |inner| Waits { inner, fault })
}

#[test]
fn a_future_that_leaves_no_waker() {
    finds(
        &waits(Fault::NoWaker),
        Rule::Wakers,
        "its waker is not called although",
    );
}

#[test]
fn a_future_that_spins() {
    finds(&waits(Fault::Spins), Rule::Wakers, "times and more");
}

#[test]
fn a_future_that_looks_every_millisecond() {
    finds(
        &waits(Fault::Looks),
        Rule::Wakers,
        "in which nothing happens",
    );
}

#[test]
fn a_future_that_keeps_its_first_waker() {
    finds(
        &waits(Fault::FirstWaker),
        Rule::Wakers,
        "only its first waker",
    );
}

#[test]
fn an_open_breaker_that_wakes_nobody() {
    let suite = Suite::new(|inner| Opens {
        inner,
        until: Arc::default(),
    });
    finds(
        &suite.opens_after(1, OPEN),
        Rule::Wakers,
        "its waker is not called although",
    );
}

#[test]
fn a_limiter_on_the_clock_on_the_wall() {
    let suite = Suite::new(|inner| ByTheWall {
        inner,
        last: Arc::default(),
        timer: None,
    });
    finds(&suite.admits(1, MINUTE), Rule::Time, "does not get in");
}
