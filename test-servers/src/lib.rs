//! Servers that tests start for themselves: NATS, Kafka, PostgreSQL, Redis; an OTLP receiver,
//! Jaeger, Prometheus; and a [proxy](Proxy) that breaks connections.
//!
//! Each runs on free loopback ports, and ends with the test however that ends.
//! `cargo xtask services` puts in place what they need. A test that starts one stands in a file
//! `tests/shared_*.rs`, and begins with
//!
//! ```no_run
//! use towpath_test_servers::{Jaeger, or_not_run};
//!
//! # fn test() {
//! let Some(jaeger) = or_not_run(Jaeger::start()) else {
//!     return;
//! };
//! # }
//! ```
//!
//! All calls block. An async test that has to go on meanwhile has several workers, and asks in
//! `tokio::task::block_in_place`.

mod certificates;
mod clock;
mod guarded;
pub mod http;
mod jaeger;
mod kafka;
mod nats;
mod not_here;
mod otlp;
pub mod places;
mod ports;
mod postgres;
mod prometheus;
mod proxy;
mod redis;
mod server;
mod signal;
mod template;

pub use jaeger::Jaeger;
pub use kafka::Kafka;
pub use nats::Nats;
pub use not_here::{NotHere, WITHOUT, is_unwanted, or_not_run};
pub use otlp::{
    Attributes, EventLine, LinkLine, LogLine, MetricLine, OtlpReceiver, Pace, RequestLine,
    SpanLine, StatusLine,
};
pub use postgres::Postgres;
pub use prometheus::{Checked, Prometheus, Sample, promtool};
pub use proxy::Proxy;
pub use redis::Redis;
