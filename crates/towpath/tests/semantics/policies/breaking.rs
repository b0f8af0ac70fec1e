//! The circuit breaker of a stage: what it spares the backend, and what it never costs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod forcing;
mod ordering;
mod outages;
mod poison;
mod probing;
mod sharing;
mod stopping;
mod together;

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep};
use tower::Service;
use towpath::{
    BoxError, CircuitBreaker, EventKind, PipelineHandle, PolicyStatus, Retry, core::BreakerState,
};

use crate::events::Events;

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// How long the breakers of these tests are open.
pub(super) const OPEN: Duration = Duration::from_secs(5);

pub(super) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Opens at the second failure, and closes when one probe has succeeded.
pub(super) fn touchy() -> CircuitBreaker {
    CircuitBreaker::failure_rate(0.5)
        .min_calls(2)
        .open_for(OPEN)
        .probes(1)
}

/// Retries that no budget refuses.
pub(super) fn retry() -> Retry {
    Retry::fixed(ms(100)).attempts(5).budget(1000.0)
}

/// What the backend does about a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) after: Duration,
    pub(super) fails: bool,
}

pub(super) const UP: Answer = Answer {
    after: Duration::ZERO,
    fails: false,
};

pub(super) const DOWN: Answer = Answer {
    after: Duration::ZERO,
    fails: true,
};

impl Answer {
    pub(super) fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }
}

/// A call as the backend sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    /// What it was called with.
    pub(super) n: u64,
    /// When, since the backend was made.
    pub(super) at: Duration,
    /// How many calls came before.
    pub(super) index: usize,
}

/// A tower service that does as its script says, and remembers what it had to bear.
#[derive(Clone)]
pub(super) struct Backend(Arc<Script>);

struct Script {
    begun: Instant,
    act: Box<dyn Fn(Call) -> Answer + Send + Sync>,
    calls: Mutex<Vec<Call>>,
    asked: AtomicUsize,
    running: AtomicUsize,
}

impl Backend {
    pub(super) fn new(act: impl Fn(Call) -> Answer + Send + Sync + 'static) -> Self {
        Self(Arc::new(Script {
            begun: Instant::now(),
            act: Box::new(act),
            calls: Mutex::default(),
            asked: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
        }))
    }

    /// Fails at once for so long, and works after that.
    pub(super) fn down_for(time: Duration) -> Self {
        Self::new(move |call| if call.at < time { DOWN } else { UP })
    }

    /// The time since it was made.
    pub(super) fn now(&self) -> Duration {
        self.0.begun.elapsed()
    }

    pub(super) fn all(&self) -> Vec<Call> {
        self.0.calls.lock().expect("nobody panics here").clone()
    }

    pub(super) fn calls(&self) -> usize {
        self.0.calls.lock().expect("nobody panics here").len()
    }

    /// What it was called with, in the order the calls began.
    pub(super) fn items(&self) -> Vec<u64> {
        self.all().iter().map(|call| call.n).collect()
    }

    /// When it was called, in milliseconds since it was made.
    pub(super) fn times(&self) -> Vec<u128> {
        self.all().iter().map(|call| call.at.as_millis()).collect()
    }

    pub(super) fn calls_of(&self, n: u64) -> usize {
        self.items().iter().filter(|of| **of == n).count()
    }

    /// How many calls began before that time.
    pub(super) fn calls_before(&self, at: Duration) -> usize {
        self.all().iter().filter(|call| call.at < at).count()
    }

    /// How often it was asked whether it is ready.
    pub(super) fn asked(&self) -> usize {
        self.0.asked.load(SeqCst)
    }

    pub(super) fn running(&self) -> usize {
        self.0.running.load(SeqCst)
    }

    fn begin(&self, n: u64) -> Answer {
        let mut calls = self.0.calls.lock().expect("nobody panics here");
        let call = Call {
            n,
            at: self.now(),
            index: calls.len(),
        };
        calls.push(call);
        (self.0.act)(call)
    }
}

impl Service<u64> for Backend {
    type Response = u64;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<u64, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.asked.fetch_add(1, SeqCst);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, n: u64) -> Self::Future {
        let answer = self.begin(n);
        let running = Running::begin(self);
        Box::pin(async move {
            if !answer.after.is_zero() {
                sleep(answer.after).await;
            }
            drop(running);
            if answer.fails {
                return Err("the backend is down".into());
            }
            Ok(n)
        })
    }
}

/// Counts a call that runs until it ends, however.
struct Running(Backend);

impl Running {
    fn begin(backend: &Backend) -> Self {
        backend.0.running.fetch_add(1, SeqCst);
        Self(backend.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.0.running.fetch_sub(1, SeqCst);
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend")
            .field("calls", &self.calls())
            .finish_non_exhaustive()
    }
}

/// What the breaker of a stage did, in order: `open`, `half open`, `closed`, and when, in
/// milliseconds since the pipeline started.
pub(super) fn changes(events: &Events) -> Vec<(String, u128)> {
    let changes = events
        .all()
        .into_iter()
        .filter_map(|event| match event.kind {
            EventKind::BreakerChanged { from, to } => Some((from, to, event.at.as_millis())),
            _ => None,
        });
    let mut before = BreakerState::Closed;
    changes
        .map(|(from, to, at)| {
            assert_eq!(from, std::mem::replace(&mut before, to), "in order");
            (to.to_string(), at)
        })
        .collect()
}

/// The same without the times.
pub(super) fn states(events: &Events) -> Vec<String> {
    changes(events).into_iter().map(|(to, _)| to).collect()
}

/// The policy of this kind of the stage `work`.
pub(super) fn policy(handle: &PipelineHandle, policy: &str) -> PolicyStatus {
    let all = handle.policies("work").expect("there is such a stage");
    let of = all.into_iter().find(|status| status.policy() == policy);
    of.expect("there is such a policy")
}

/// What the breaker of the stage `work` is now, and how often it has opened.
pub(super) fn breaker(handle: &PipelineHandle) -> (BreakerState, u64) {
    match policy(handle, "circuit breaker") {
        PolicyStatus::CircuitBreaker { state, opened, .. } => (state, opened),
        other => panic!("{other:?}"),
    }
}
