//! A service for tests: it has a bounded number of permits, insists on being readied, and
//! answers when it is told to.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tower_service::Service;

use crate::BoxError;

/// The error that a call was told to fail with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed: {0}")]
pub(crate) struct Told(pub(crate) &'static str);

type Waiting = Pin<Box<dyn Future<Output = OwnedSemaphorePermit> + Send>>;

/// One instance; clones share the permits but are not ready.
pub(crate) struct Probe {
    shared: Arc<Shared>,
    waiting: Option<Waiting>,
    permit: Option<OwnedSemaphorePermit>,
}

struct Shared {
    permits: Arc<Semaphore>,
    calls: Mutex<Vec<Call>>,
}

/// A call that has arrived.
pub(crate) struct Call {
    pub(crate) request: u64,
    answer: oneshot::Sender<Result<u64, BoxError>>,
}

/// What the test holds.
pub(crate) struct Remote(Arc<Shared>);

/// A probe that takes this many calls at once.
pub(crate) fn probe(permits: usize) -> (Probe, Remote) {
    let shared = Arc::new(Shared {
        permits: Arc::new(Semaphore::new(permits)),
        calls: Mutex::default(),
    });
    (Probe::new(shared.clone()), Remote(shared))
}

impl Probe {
    fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            waiting: None,
            permit: None,
        }
    }
}

impl Clone for Probe {
    fn clone(&self) -> Self {
        Self::new(self.shared.clone())
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe").finish_non_exhaustive()
    }
}

async fn acquire(permits: Arc<Semaphore>) -> OwnedSemaphorePermit {
    permits.acquire_owned().await.unwrap()
}

impl Service<u64> for Probe {
    type Response = u64;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<u64, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if self.permit.is_none() {
            let permits = &self.shared.permits;
            let waiting = self
                .waiting
                .get_or_insert_with(|| Box::pin(acquire(permits.clone())));
            self.permit = Some(ready!(waiting.as_mut().poll(cx)));
            self.waiting = None;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u64) -> Self::Future {
        let permit = self.permit.take().expect("called without being readied");
        let (answer, answered) = oneshot::channel();
        let call = Call { request, answer };
        self.shared.calls.lock().unwrap().push(call);
        Box::pin(async move {
            let answer = answered.await.expect("the test answers");
            drop(permit);
            answer
        })
    }
}

impl Remote {
    /// The oldest call that was not looked at yet.
    pub(crate) fn next(&self) -> Option<Call> {
        let mut calls = self.0.calls.lock().unwrap();
        (!calls.is_empty()).then(|| calls.remove(0))
    }

    /// The oldest call, which must be there.
    pub(crate) fn take(&self) -> Call {
        self.next().expect("the service was called")
    }

    /// How many permits nobody holds.
    pub(crate) fn free(&self) -> usize {
        self.0.permits.available_permits()
    }

    /// Whether nobody holds any of the permits.
    pub(crate) fn is_idle(&self, permits: usize) -> bool {
        self.free() == permits
    }
}

impl Call {
    pub(crate) fn succeed(self, response: u64) {
        self.answer.send(Ok(response)).expect("the call is awaited");
    }

    pub(crate) fn fail(self, why: &'static str) {
        let error = Err(Told(why).into());
        self.answer.send(error).expect("the call is awaited");
    }

    /// Whether the future of the call was dropped.
    pub(crate) fn is_dropped(&self) -> bool {
        self.answer.is_closed()
    }
}

/// Readies a service that is ready, and calls it.
pub(crate) fn call<S, Q>(service: &mut S, request: Q) -> S::Future
where
    S: Service<Q>,
    S::Error: fmt::Debug,
{
    let waker = std::task::Waker::noop();
    let ready = service.poll_ready(&mut Context::from_waker(waker));
    assert!(matches!(ready, Poll::Ready(Ok(()))), "not ready: {ready:?}");
    service.call(request)
}
