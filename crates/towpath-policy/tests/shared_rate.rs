//! One budget for several processes, in a private Redis server.
//!
//! Needs `redis-server` in the path, or its place in `REDIS_SERVER`.

#[path = "shared_rate/failures.rs"]
mod failures;
#[path = "shared_rate/processes.rs"]
mod processes;
#[path = "shared_rate/script.rs"]
mod script;
#[path = "shared_rate/server.rs"]
mod server;
