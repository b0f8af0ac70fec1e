//! Rate limit: how many calls may start in a while.
//!
//! Over any interval `t`, at most `burst + rate * t` are admitted; a call that is denied
//! or cancelled consumes nothing. The cores are told the time and never wait themselves.

mod bucket;
mod charge;
mod clock;
mod gcra;
mod grant;
mod keys;
mod limiter;
mod options;
mod pace;
mod rate_value;
#[cfg(feature = "redis")]
mod redis_store;
mod returns;
mod store;
#[cfg(test)]
mod tests;
mod versioned;
mod window;

pub(crate) use bucket::{Bucket, Denied, Taken};
pub use charge::{Charge, Flat, Keyed, Weighed};
pub(crate) use grant::Grant;
pub(crate) use limiter::Limiter;
pub use options::{Algorithm, RateLimit, WhenLimited, WhenStoreFails};
pub use rate_value::{InvalidRate, Rate};
#[cfg(feature = "redis")]
pub use redis_store::RedisStore;
pub use store::{Decision, Quota, RateRequest, RateStore, StoreError};
