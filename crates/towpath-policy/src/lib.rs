//! Policies around any tower service: rate limit, retry, timeout, circuit breaker and more.

mod breaker;
mod class;
mod concurrency;
pub mod context;
mod deadline;
pub mod dedup;
mod error;
pub mod fallback;
mod hedge;
mod key;
mod line;
mod map_concurrent;
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
mod words;

pub use breaker::{
    BreakerState, BreakerStatus, CircuitBreaker, Forced, Growing, SlowCalls, Subscription,
    Transition, TransitionReason, WhenOpen,
};
pub use concurrency::Concurrency;
pub use deadline::{Deadline, DeadlineFuture, DeadlineLayer, DeadlineService};
#[cfg(feature = "redis")]
pub use dedup::RedisDedupStore;
pub use dedup::{Dedup, DedupFuture, DedupLayer, DedupService, DedupStore, DedupStoreFailed};
pub use error::{
    BoxError, BreakerOpen, BudgetSpent, DeadlinePassed, Duplicate, Exhausted, Interrupted, Panicked,
    RateLimited, RetryAfter, TimedOut, Unavailable, find,
};
pub use fallback::{Fallback, FallbackFailed, FallbackFuture, FallbackService};
pub use hedge::{Hedge, HedgeFuture, HedgeLayer, HedgeService};
pub use key::Key;
pub use map_concurrent::{ConcurrentMap, ForEach, MapConcurrent, ServiceFn, service_fn};
pub use class::{Class, Classify, HttpStatus, Standard, classify_fn, is_local};
pub use policed::{Again, Once, Policed, PolicedFuture, Replay};
pub use policies::{
    ChangeError, ConcurrencyStatus, Policies, PolicyHandle, PolicyLayer, PolicyStatus,
    RateLimitStatus, RetryStatus, TimeoutStatus,
};
pub use rate::{
    Algorithm, Charge, Decision, Flat, InvalidRate, Keyed, Quota, Rate, RateLimit, RateRequest,
    RateStore, StoreError, Weighed, WhenLimited, WhenStoreFails,
};
#[cfg(feature = "redis")]
pub use rate::RedisStore;
pub use retry::{Jitter, Retry};
pub use timeout::Timeout;
pub use words::{InvalidOptions, Problem, Problems, read_options};
