//! The connector with a real broker.

#[cfg(test)]
#[path = "support/client.rs"]
#[expect(dead_code, reason = "not every test looks at everything")]
mod client;
#[cfg(test)]
#[path = "support/pipes.rs"]
mod pipes;

#[cfg(test)]
#[path = "shared_kafka/broker.rs"]
mod broker;
#[cfg(test)]
#[path = "shared_kafka/closing.rs"]
mod closing;
#[cfg(test)]
#[path = "shared_kafka/commits.rs"]
mod commits;
#[cfg(test)]
#[path = "shared_kafka/flow.rs"]
mod flow;
#[cfg(test)]
#[path = "shared_kafka/groups.rs"]
mod groups;
#[cfg(test)]
#[path = "shared_kafka/records.rs"]
mod records;
#[cfg(test)]
#[path = "shared_kafka/servers.rs"]
mod servers;
