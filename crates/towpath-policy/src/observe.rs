//! Looking at single calls: their attempts, how each of those ended, and what they waited for.
//!
//! For a tracer, or a test. Who looks makes itself the [`CallObserver`] of a call by
//! [entering](enter) it around `call` and around every poll of the future that this gives.
//! Calls that nobody looks at pay one look at a flag of their thread.
//!
//! ```
//! use std::{error::Error, sync::{Arc, Mutex}};
//! use tokio::time::Instant;
//! use towpath_policy::{
//!     BoxError, Policies, Retry, error_kind,
//!     observe::{self, AttemptObserver, CallObserver, Entered, WaitReason},
//!     service_fn,
//! };
//! use tower::{Layer, Service};
//!
//! #[derive(Clone, Default)]
//! struct Log(Arc<Mutex<Vec<String>>>);
//!
//! impl CallObserver for Log {
//!     fn attempt(&self, _number: u32) -> Box<dyn AttemptObserver> {
//!         Box::new(self.clone())
//!     }
//!     fn waited(&self, reason: WaitReason, from: Instant, to: Instant) {
//!         self.0.lock().unwrap().push(format!("{reason} {:?}", to - from));
//!     }
//! }
//!
//! impl AttemptObserver for Log {
//!     fn enter(&self) -> Box<dyn Entered> {
//!         Box::new(())
//!     }
//!     fn ended(self: Box<Self>, result: Result<(), &(dyn Error + 'static)>) {
//!         let kind = result.map_or_else(error_kind, |()| "ok".into());
//!         self.0.lock().unwrap().push(kind.into_owned());
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true)
//! #   .build().unwrap().block_on(async {
//! let retry = Retry::fixed(std::time::Duration::from_millis(200)).attempts(2);
//! let policies = Policies::new().retry(retry).build()?;
//! let mut service = policies.layer(service_fn(|_: u32| async {
//!     Err::<(), BoxError>(towpath_policy::HttpStatus(429).into())
//! }));
//!
//! let log = Log::default();
//! let observer: Arc<dyn CallObserver> = Arc::new(log.clone());
//! std::future::poll_fn(|cx| service.poll_ready(cx)).await?;
//! let entered = observe::enter(&observer);
//! let mut call = Box::pin(service.call(1));
//! drop(entered);
//! let answer = std::future::poll_fn(|cx| {
//!     let _entered = observe::enter(&observer);
//!     call.as_mut().poll(cx)
//! });
//! assert!(answer.await.is_err());
//! assert_eq!(*log.0.lock().unwrap(), ["429", "backoff 200ms", "429"]);
//! # Ok::<_, BoxError>(()) }).unwrap();
//! ```
//!
//! # What is told
//! - An attempt for each time the service is called: the first, those of a retry, both calls of
//!   a hedge, and the second service of a fallback.
//! - An attempt that ended at once, with the error, for a call that was refused: by a limiter, by
//!   a breaker, or by a service that failed before it could be called.
//! - Each wait, when it is over, before the attempt that it was for. Of a wait that a deadline, a
//!   [drain](crate::PolicyHandle::drain) or the drop of the call has ended, nothing follows.
//! - Waits in `poll_ready` are told to the call that takes the readiness.
//! - Nothing for a call that a dedup left out, or that came after its deadline: there is no
//!   attempt, and the error of the call says it all. What a deadline cuts short has ended with
//!   [`DeadlinePassed`](crate::DeadlinePassed), or was cancelled.
//!
//! Calls that are made inside of an attempt have an observer only if
//! [`enter`](AttemptObserver::enter) gives them one.

use std::{
    cell::{Cell, RefCell},
    error::Error,
    fmt,
    marker::PhantomData,
    sync::Arc,
};

use tokio::time::Instant;

/// Looks at a call.
pub trait CallObserver: Send + Sync + 'static {
    /// An attempt begins; which one, over all deliveries of a message: 1 is the first.
    ///
    /// An attempt that does not count, such as one that was refused, has the number of the next.
    fn attempt(&self, number: u32) -> Box<dyn AttemptObserver>;

    /// The call has waited for a policy, before its next attempt.
    fn waited(&self, reason: WaitReason, from: Instant, to: Instant);
}

/// Looks at one attempt of a call. Dropped without [`ended`](Self::ended), the attempt was
/// cancelled.
pub trait AttemptObserver: Send + Sync {
    /// The service is about to run, in `call` or a poll; what this returns is dropped after
    /// that, on the same thread, and in the reverse order.
    fn enter(&self) -> Box<dyn Entered>;

    /// The attempt has ended: well, or with an error.
    fn ended(self: Box<Self>, result: Result<(), &(dyn Error + 'static)>);
}

/// What is kept while the service runs. Anything will do: it is only dropped.
pub trait Entered {}

impl<T> Entered for T {}

/// What a call has waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WaitReason {
    /// Its turn at the rate limit, and a token.
    RateLimit,
    /// The circuit breaker to let it through.
    CircuitBreaker,
    /// A permit of the concurrency limit.
    Concurrency,
    /// The service to be ready.
    Service,
    /// The time of its next attempt.
    Backoff,
}

/// Looks at the calls that begin on this thread until it is dropped.
#[must_use = "calls are looked at until this is dropped"]
pub struct Guard {
    before: Option<Arc<dyn CallObserver>>,
    /// It stays on its thread.
    _here: PhantomData<*const ()>,
}

thread_local! {
    // Apart: looking at it must cost next to nothing.
    static IS_OBSERVED: Cell<bool> = const { Cell::new(false) };
    static CURRENT: RefCell<Option<Arc<dyn CallObserver>>> = const { RefCell::new(None) };
}

/// Tells `observer` of the calls that begin on this thread, until the guard is dropped.
///
/// To be entered around `call` and around each poll of its future: a hedge, a dedup or a
/// fallback makes its calls in polls. Not to be held across an `await`.
pub fn enter(observer: &Arc<dyn CallObserver>) -> Guard {
    replace(Some(observer.clone()))
}

/// Calls that begin are told to nobody, until the guard is dropped.
pub(crate) fn mask() -> Guard {
    replace(None)
}

fn replace(observer: Option<Arc<dyn CallObserver>>) -> Guard {
    Guard {
        before: put(observer),
        _here: PhantomData,
    }
}

fn put(observer: Option<Arc<dyn CallObserver>>) -> Option<Arc<dyn CallObserver>> {
    IS_OBSERVED.set(observer.is_some());
    CURRENT.with(|current| current.replace(observer))
}

/// Whether somebody looks at a call that begins now.
#[inline]
pub(crate) fn is_observed() -> bool {
    IS_OBSERVED.get()
}

/// Who looks at a call that begins now.
#[cold]
pub(crate) fn current() -> Option<Arc<dyn CallObserver>> {
    CURRENT.with(|current| current.borrow().clone())
}

// === impl Guard ===

impl Drop for Guard {
    fn drop(&mut self) {
        // Not under the borrow: the last of an observer may go here.
        drop(put(self.before.take()));
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}

// === impl WaitReason ===

impl WaitReason {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::RateLimit,
        Self::CircuitBreaker,
        Self::Concurrency,
        Self::Service,
        Self::Backoff,
    ];

    /// The reason in a word: `rate_limit`, `circuit_breaker`, `concurrency`, `service`, `backoff`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RateLimit => "rate_limit",
            Self::CircuitBreaker => "circuit_breaker",
            Self::Concurrency => "concurrency",
            Self::Service => "service",
            Self::Backoff => "backoff",
        }
    }
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
