//! The inner service: a double that keeps watch over the contract of `tower::Service`.

use std::{
    fmt,
    panic::resume_unwind,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::time::{Sleep, sleep};
use tower_service::Service;

use super::act::{Act, End, Failed};

mod script;
mod state;

pub use script::{Script, Tally};

/// A service that does as its [`Script`] says, and notes each breach of tower's contract:
/// a call without a `poll_ready` that said ready on this very instance, a readiness used
/// twice, a future polled after its end. A clone starts out not ready.
///
/// ```
/// use tower::{Service, ServiceExt};
/// use towpath_test::layer::{Act, Probe, find_failed};
///
/// # towpath_test::paused(async {
/// let (mut probe, script) = Probe::new();
/// script.next([Act::answer(), Act::fail()]);
///
/// assert_eq!(probe.ready().await?.call(7).await?, 7);
/// let error = probe.ready().await?.call(8).await.unwrap_err();
/// assert!(find_failed(&error));
/// assert_eq!(script.tally().calls, 2);
/// script.kept()?;
///
/// let without_asking = probe.clone().call(9);
/// drop(without_asking);
/// assert!(script.kept().is_err());
/// # Ok::<_, towpath::BoxError>(())
/// # }).unwrap();
/// ```
pub struct Probe<Q = u64, R = u64> {
    script: Script,
    respond: Arc<dyn Fn(&Q) -> R + Send + Sync>,
    id: u64,
    readiness: Readiness,
}

/// How far an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readiness {
    Fresh,
    Waiting,
    Ready,
    Spent,
    Failed,
}

/// The answer of a [`Probe`], on its way.
pub struct Reply<R> {
    script: Script,
    id: u64,
    reserved: bool,
    act: Act,
    timer: Option<Pin<Box<Sleep>>>,
    response: Option<R>,
    ended: bool,
}

// === impl Probe ===

impl Probe {
    /// A service that answers with what it is asked.
    pub fn new() -> (Self, Script) {
        Self::of(|number| *number)
    }
}

impl<Q, R> Probe<Q, R> {
    /// A service of any requests and answers.
    pub fn of(respond: impl Fn(&Q) -> R + Send + Sync + 'static) -> (Self, Script) {
        Self::shared(Arc::new(respond))
    }

    pub(super) fn shared(respond: Arc<dyn Fn(&Q) -> R + Send + Sync>) -> (Self, Script) {
        let script = Script::new();
        let probe = Self::instance(script.clone(), respond);
        (probe, script)
    }

    fn instance(script: Script, respond: Arc<dyn Fn(&Q) -> R + Send + Sync>) -> Self {
        let id = script.state().next_id();
        Self {
            script,
            respond,
            id,
            readiness: Readiness::Fresh,
        }
    }

    fn reply(&self, request: &Q, reserved: bool) -> Reply<R> {
        let (id, act) = self.script.state().begin(reserved);
        Reply {
            script: self.script.clone(),
            id,
            reserved,
            act,
            timer: None,
            response: Some((self.respond)(request)),
            ended: false,
        }
    }
}

impl<Q, R> Service<Q> for Probe<Q, R> {
    type Response = R;
    type Error = Failed;
    type Future = Reply<R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        if self.readiness == Readiness::Ready {
            return Poll::Ready(Ok(()));
        }
        let said = self.script.state().poll_ready(self.id, cx.waker());
        self.readiness = match &said {
            Poll::Pending => Readiness::Waiting,
            Poll::Ready(Ok(())) => Readiness::Ready,
            Poll::Ready(Err(_)) => Readiness::Failed,
        };
        said
    }

    fn call(&mut self, request: Q) -> Reply<R> {
        let readiness = std::mem::replace(&mut self.readiness, Readiness::Spent);
        if let Some(breach) = readiness.breach() {
            self.script.state().breach(breach);
        }
        let mut reply = self.reply(&request, readiness == Readiness::Ready);
        if reply.act.end == End::PanicInCall {
            reply.end();
            panic_quietly("the inner service panics in `call`, on cue");
        }
        reply
    }
}

impl<Q, R> Clone for Probe<Q, R> {
    fn clone(&self) -> Self {
        Self::instance(self.script.clone(), self.respond.clone())
    }
}

impl<Q, R> Drop for Probe<Q, R> {
    fn drop(&mut self) {
        let ready = self.readiness == Readiness::Ready;
        let wakers = self.script.state().leave(self.id, ready);
        wakers.wake();
    }
}

impl<Q, R> fmt::Debug for Probe<Q, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut probe = f.debug_struct("Probe");
        probe.field("id", &self.id);
        probe.field("readiness", &self.readiness);
        probe.finish_non_exhaustive()
    }
}

/// Panics without a report on standard error: it is meant to be.
fn panic_quietly(what: &'static str) -> ! {
    resume_unwind(Box::new(what))
}

// === impl Readiness ===

impl Readiness {
    /// What is wrong about a call now.
    fn breach(self) -> Option<&'static str> {
        match self {
            Self::Ready => None,
            Self::Fresh => Some(
                "an instance of the inner service was called that was never asked \
                 `poll_ready` (a clone starts out not ready)",
            ),
            Self::Waiting => {
                Some("the inner service was called although its `poll_ready` said `Pending`")
            }
            Self::Spent => Some(
                "the inner service was called again without another `poll_ready`: \
                 a readiness is good for one call",
            ),
            Self::Failed => Some("the inner service was called although its `poll_ready` failed"),
        }
    }
}

// === impl Reply ===

impl<R> Reply<R> {
    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.act.pending > 0 {
            self.act.pending -= 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(delay) = self.act.after {
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(delay)));
            ready!(timer.as_mut().poll(cx));
            self.act.after = None;
        }
        self.script.state().poll_held(self.id, cx.waker())
    }

    fn end(&mut self) {
        self.ended = true;
        let wakers = self.script.state().end(self.id, self.reserved);
        wakers.wake();
    }
}

impl<R> Future for Reply<R> {
    type Output = Result<R, Failed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.ended {
            self.script
                .state()
                .breach("a future of the inner service was polled after its end");
            return Poll::Pending;
        }
        ready!(self.poll_wait(cx));
        self.end();
        match (self.act.end, self.response.take()) {
            (End::Answer, Some(response)) => Poll::Ready(Ok(response)),
            (End::Panic | End::PanicInCall, _) => panic_quietly("the inner service panics on cue"),
            (End::Fail | End::Answer, _) => Poll::Ready(Err(Failed)),
        }
    }
}

// The timer is boxed, nothing else is polled in place.
impl<R> Unpin for Reply<R> {}

impl<R> Drop for Reply<R> {
    fn drop(&mut self) {
        if !self.ended {
            self.script.state().dropped();
            self.end();
        }
    }
}

impl<R> fmt::Debug for Reply<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut reply = f.debug_struct("Reply");
        reply.field("id", &self.id).field("act", &self.act);
        reply.finish_non_exhaustive()
    }
}
