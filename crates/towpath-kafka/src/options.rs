//! The options of sources and sinks, and how the client is told of them.

mod client;
mod properties;
mod security;
mod sink;
mod source;
#[cfg(test)]
mod tests;

pub use security::{Mechanism, Protocol, Security};
pub use sink::{Compression, KafkaSinkOptions};
pub use source::{Assignment, KafkaSourceOptions, Start};
