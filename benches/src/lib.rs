//! Throughput, latency, instructions and allocations of Towpath beside its peers.
//!
//! ```text
//! Case (one contender, one job) --> Rounds        wall and CPU time, interleaved
//!                               --> Instructions  callgrind, slope between two lengths
//!                               --> Allocations   counting allocator, same slope
//! Probe (one latency question)  --> Samples       p50, p99, max
//! ```
//!
//! `cargo run --release -p towpath-benches` prints the tables. The numbers that gate are
//! in [`gate::LIMITS`]; wall time never gates, it is published as ratios of one run.

pub mod alloc;
pub mod case;
pub mod cases;
#[cfg(feature = "connectors")]
pub mod connectors;
#[cfg(feature = "peers")]
pub mod flights;
pub mod gate;
pub mod latency;
pub mod measure;
pub mod message;
pub mod report;
pub mod runtime;
pub mod service;
pub mod suite;
