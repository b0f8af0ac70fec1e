//! Faults of brokers, with a cluster that plays them.

#[cfg(test)]
#[path = "support/client.rs"]
#[expect(dead_code, reason = "not every test looks at everything")]
mod client;
#[cfg(test)]
#[path = "support/pipes.rs"]
#[expect(dead_code, reason = "not every test looks at everything")]
mod pipes;

#[cfg(test)]
#[path = "mock/cluster.rs"]
mod cluster;
#[cfg(test)]
#[path = "mock/sinks.rs"]
mod sinks;
#[cfg(test)]
#[path = "mock/sources.rs"]
mod sources;
