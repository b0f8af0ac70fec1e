//! Keys that several processes share, in a private Redis server.
//!
//! Needs `redis-server` in the path, or its place in `REDIS_SERVER`.

#[path = "shared_dedup/claims.rs"]
mod claims;
#[path = "shared_dedup/crash.rs"]
mod crash;
#[path = "shared_dedup/failures.rs"]
mod failures;
#[path = "shared_dedup/rig.rs"]
mod rig;
#[expect(dead_code, reason = "the tests of shared budgets use the rest of it")]
#[path = "shared_rate/server.rs"]
mod server;
