//! Policies around any tower service: rate limit, retry, timeout, circuit breaker and more.
//!
//! ```
//! use std::{convert::Infallible, time::Duration};
//! use towpath_policy::{BoxError, CircuitBreaker, Policies, RateLimit, Retry, Timeout};
//! use tower::{Layer, Service, ServiceExt, service_fn};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let policies = Policies::new()
//!     .rate_limit(RateLimit::per_second(500))
//!     .retry(Retry::default())
//!     .circuit_breaker(CircuitBreaker::failure_rate(0.5))
//!     .timeout(Timeout::after(Duration::from_secs(2)))
//!     .build()?;
//! let handle = policies.handle();
//! let mut service = policies.layer(service_fn(|n: u32| async move { Ok::<_, Infallible>(n + 1) }));
//! assert_eq!(service.ready().await?.call(1).await?, 2);
//! handle.set_rate("900/s".parse()?)?;
//! # Ok::<_, BoxError>(()) }).unwrap();
//! ```
//!
//! ```text
//!  poll_ready:  breaker ──▶ turn at the limiter ──▶ permit ──▶ service ready ──▶ token
//!               └─ whoever waits holds nothing that others could use; cancelled, all goes back
//!  call:        attempt 1 ──▶ failed ──▶ parked: delay, breaker, turn, permit ──▶ attempt 2 ──▶ ..
//!               └─ ends at the timeout, at the deadline, or by its answer
//! ```
//!
//! # Concepts
//! - **Order.** Outermost first: [`Deadline`] > [`Dedup`] > [`Fallback`] > [`Hedge`] > [`Retry`] >
//!   [`CircuitBreaker`] > [`RateLimit`] > [`Concurrency`] > [`Timeout`] > panic guard > service.
//!   [`Policies`] keeps it from the retry inwards, whatever the order of the calls; the first four
//!   are layers of their own and go around it in the order in which you put them.
//! - **Options** are plain data: `Clone`, `Debug`, and read by serde with durations (`"200ms"`) and
//!   rates (`"500/s"`) in words; functions are set in code. `build` reports every problem with its
//!   path ([`InvalidOptions`]), and makes a layer.
//! - **Sharing.** All services that one layer is put around, and their clones, share its budgets
//!   and its breaker. A breaker is shared further by name, a rate through a [`RateStore`].
//! - **Waiting.** By default a call without budget, or before an open breaker, waits: in
//!   `poll_ready`, so that a caller that asks first takes nothing it cannot have done. A call whose
//!   cost depends on its request waits in its future instead. `rejecting()` makes it fail at once.
//! - **Classes.** [`Classify`] says of an error whether another attempt may help ([`Class`]);
//!   [`Standard`] is the default. A [`RetryAfter`] in the chain of causes is obeyed.
//! - **Errors** are [`BoxError`]: that of the service, or one of ours with that as its source.
//!   [`find`] finds either. One attempt that failed is its own error.
//! - **Context.** Code deep in a service reads the attempt it is, and the deadline, from
//!   [`context`].
//! - **Time** is tokio's, so that tests can pause it. No timer is made before the first wait, and no
//!   task is spawned (but by the client of a Redis store): everything happens in the polls of the
//!   caller, and ends when it is dropped.
//! - **Handle.** [`PolicyHandle`] changes rate, concurrency and breaker live, tells of changes of
//!   the breaker, and shows how everything is doing.
//! - **Looking at calls.** A tracer is told of attempts and waits through [`observe`];
//!   [`error_kind`] names an error in one of few words.
//! - [`MapConcurrent`] puts a service with its policies behind any `Stream`.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `redis` | `RedisStore` and `RedisDedupStore`: budgets and known keys that several processes share |
//! | `tower` | [`Standard`] knows the errors of tower's timeout, load shed and buffer |

mod apart;
mod breaker;
mod class;
mod concurrency;
pub mod context;
mod deadline;
pub mod dedup;
mod error;
mod error_kind;
pub mod fallback;
mod hedge;
mod key;
mod line;
mod lock;
mod map_concurrent;
pub mod observe;
mod panic_guard;
mod policed;
mod policies;
#[cfg(test)]
mod probe;
mod rate;
#[cfg(feature = "redis")]
mod redis_link;
mod retry;
mod spare;
mod sync;
mod timeout;
mod timer;

pub use breaker::{
    BreakerState, BreakerStatus, CircuitBreaker, Forced, Growing, SlowCalls, Subscription,
    Transition, TransitionReason, WhenOpen,
};
pub use class::{Class, Classify, HttpStatus, Standard, classify_fn, is_local};
pub use concurrency::Concurrency;
pub use deadline::{Deadline, DeadlineFuture, DeadlineLayer, DeadlineService};
#[cfg(feature = "redis")]
pub use dedup::RedisDedupStore;
pub use dedup::{Dedup, DedupFuture, DedupLayer, DedupService, DedupStore, DedupStoreFailed};
pub use error::{
    BoxError, BreakerOpen, BudgetSpent, DeadlinePassed, Duplicate, Exhausted, Interrupted,
    Panicked, RateLimited, RetryAfter, TimedOut, Unavailable, find,
};
pub use error_kind::error_kind;
pub use fallback::{Fallback, FallbackFailed, FallbackFuture, FallbackService};
pub use hedge::{Hedge, HedgeFuture, HedgeLayer, HedgeService};
pub use key::Key;
pub use map_concurrent::{ConcurrentMap, ForEach, MapConcurrent, ServiceFn, service_fn};
pub use policed::{Again, Once, Policed, PolicedFuture, Replay};
pub use policies::{
    ChangeError, ConcurrencyStatus, Policies, PolicyHandle, PolicyLayer, PolicyStatus,
    RateLimitStatus, RetryStatus, TimeoutStatus, Waited, Waits,
};
#[cfg(feature = "redis")]
pub use rate::RedisStore;
pub use rate::{
    Algorithm, Charge, Decision, Flat, InvalidRate, Keyed, Quota, Rate, RateLimit, RateRequest,
    RateStore, StoreError, Weighed, WhenLimited, WhenStoreFails,
};
pub use retry::{Jitter, Retry};
pub use timeout::Timeout;
pub use towpath_options::{InvalidOptions, Problem, Problems, read_options};
