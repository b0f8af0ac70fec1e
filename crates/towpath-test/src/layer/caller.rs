//! One caller of the service under test, polled by hand and only when it was woken.

use std::{
    any::Any,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};

use tokio::{sync::Notify, task::coop::unconstrained};
use tower_service::Service;
use towpath::BoxError;

/// How far a caller came.
#[derive(Debug)]
pub(super) enum Step {
    /// It waits, for readiness or for the answer.
    Pending,
    /// The service said that it is ready.
    Ready,
    /// The service was called; its future was not polled yet.
    Called,
    Done(Result<(), BoxError>),
    Panicked(String),
}

/// One caller of the service under test.
pub(super) struct Caller {
    call: Box<dyn Call>,
    alarm: Arc<Alarm>,
    /// How many wakes there were when it was polled last.
    seen: usize,
    /// Whether it needs no wake to go on.
    can_go_on: bool,
}

/// A waker that counts.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    wakes: AtomicUsize,
    rung: Notify,
}

/// A call, whatever the types of service, request and response.
pub(super) trait Call {
    /// One step further.
    fn step(&mut self, cx: &mut Context<'_>) -> Step;
    /// Asks for readiness, also when that was answered already.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>>;
    /// Another call, of a clone of the service as it is now.
    fn split(&self) -> Box<dyn Call>;
    /// Another call, of the same service, once this one has ended.
    fn again(&mut self);
}

/// Where the requests come from.
pub(super) type Requests<Q> = Arc<dyn Fn() -> Q + Send + Sync>;

/// A call of a service.
pub(super) struct Typed<S: Service<Q>, Q> {
    service: S,
    requests: Requests<Q>,
    state: State<S::Future>,
}

enum State<F> {
    Asking,
    Ready,
    Called(Pin<Box<F>>),
    Ended,
}

// === impl Caller ===

impl Caller {
    pub(super) fn new(call: Box<dyn Call>) -> Self {
        Self {
            call,
            alarm: Arc::default(),
            seen: 0,
            can_go_on: true,
        }
    }

    /// Another caller, with a clone of this one's service.
    pub(super) fn split(&self) -> Self {
        Self::new(self.call.split())
    }

    /// Calls the same service once more.
    pub(super) fn again(&mut self) {
        self.call.again();
        self.can_go_on = true;
    }

    /// Whether there is a reason to poll it.
    pub(super) fn is_due(&self) -> bool {
        self.can_go_on || self.alarm.wakes() > self.seen
    }

    pub(super) fn wakes(&self) -> usize {
        self.alarm.wakes()
    }

    /// From the next poll on, it brings another waker, as if moved to another task.
    pub(super) fn move_elsewhere(&mut self) {
        self.alarm = Arc::default();
        self.seen = 0;
        self.can_go_on = true;
    }

    /// Waits until it is woken; at once when it was already, since it was last polled.
    pub(super) async fn woken(&self) {
        while !self.is_due() {
            self.alarm.rung.notified().await;
        }
    }

    pub(super) fn poll(&mut self) -> Step {
        loop {
            match self.step() {
                Step::Ready | Step::Called => {}
                step => return step,
            }
        }
    }

    pub(super) fn step(&mut self) -> Step {
        let step = self.watched(|call, cx| call.step(cx));
        let step = step.unwrap_or_else(Step::Panicked);
        self.can_go_on |= matches!(step, Step::Ready | Step::Called);
        step
    }

    pub(super) fn poll_ready(&mut self) -> Poll<Result<(), BoxError>> {
        let asked = self.watched(|call, cx| call.poll_ready(cx));
        let asked = asked.unwrap_or_else(|panic| Poll::Ready(Err(panic.into())));
        self.can_go_on |= matches!(asked, Poll::Ready(Ok(())));
        asked
    }

    fn watched<T>(
        &mut self,
        poll: impl FnOnce(&mut dyn Call, &mut Context<'_>) -> T,
    ) -> Result<T, String> {
        self.seen = self.alarm.wakes();
        self.can_go_on = false;
        let waker = Waker::from(self.alarm.clone());
        let call = &mut *self.call;
        let polled = catch_unwind(AssertUnwindSafe(|| {
            poll(call, &mut Context::from_waker(&waker))
        }));
        polled.map_err(|payload| text_of(&*payload))
    }
}

/// What a panic said.
pub(super) fn text_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    text.unwrap_or("something that is no text").to_owned()
}

// === impl Alarm ===

impl Alarm {
    fn wakes(&self) -> usize {
        self.wakes.load(SeqCst)
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wakes.fetch_add(1, SeqCst);
        self.rung.notify_one();
    }
}

// === impl Typed ===

impl<S: Service<Q>, Q> Typed<S, Q> {
    pub(super) fn new(service: S, requests: Requests<Q>) -> Self {
        Self {
            service,
            requests,
            state: State::Asking,
        }
    }
}

impl<S, Q> Call for Typed<S, Q>
where
    S: Service<Q, Error: Into<BoxError>> + Clone + 'static,
    Q: 'static,
{
    fn step(&mut self, cx: &mut Context<'_>) -> Step {
        match &mut self.state {
            // Asking -> (Asking | Ready | Ended)
            State::Asking => match self.poll_ready(cx) {
                Poll::Pending => Step::Pending,
                Poll::Ready(Ok(())) => Step::Ready,
                Poll::Ready(Err(error)) => Step::Done(Err(error)),
            },
            // Ready -> Called
            State::Ready => {
                let future = self.service.call((self.requests)());
                self.state = State::Called(Box::pin(future));
                Step::Called
            }
            // Called -> (Called | Ended)
            State::Called(future) => match pin!(unconstrained(future)).poll(cx) {
                Poll::Pending => Step::Pending,
                Poll::Ready(result) => {
                    self.state = State::Ended;
                    Step::Done(result.map(drop).map_err(Into::into))
                }
            },
            State::Ended => Step::Pending,
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let service = &mut self.service;
        let asked = pin!(unconstrained(poll_fn(|cx| service.poll_ready(cx)))).poll(cx);
        self.state = match &asked {
            Poll::Pending => State::Asking,
            Poll::Ready(Ok(())) => State::Ready,
            Poll::Ready(Err(_)) => State::Ended,
        };
        asked.map_err(Into::into)
    }

    fn split(&self) -> Box<dyn Call> {
        let requests = self.requests.clone();
        Box::new(Self::new(self.service.clone(), requests))
    }

    fn again(&mut self) {
        self.state = State::Asking;
    }
}
