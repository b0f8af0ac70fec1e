//! The connector with a real broker.

#[cfg(test)]
#[path = "support/client.rs"]
mod client;
#[cfg(test)]
#[path = "support/pipes.rs"]
mod pipes;

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

use std::sync::{
    OnceLock,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use towpath_test_servers::{Kafka, or_not_run};

/// A broker that all tests share that leave it alone.
fn brokers() -> Option<String> {
    static KAFKA: OnceLock<Option<Kafka>> = OnceLock::new();
    let kafka = KAFKA.get_or_init(|| or_not_run(Kafka::start()));
    kafka.as_ref().map(Kafka::brokers)
}

/// A topic of its own on the shared broker, and the brokers.
fn topic(partitions: u32) -> Option<(String, String)> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let brokers = brokers()?;
    let topic = format!("topic-{}", NUMBER.fetch_add(1, Relaxed));
    create(&brokers, &topic, partitions);
    Some((brokers, topic))
}

/// Creates a topic by a client of its own.
fn create(brokers: &str, topic: &str, partitions: u32) {
    use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
    let mut config = rdkafka::ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    let admin: AdminClient<_> = config.create().unwrap();
    let partitions = i32::try_from(partitions).unwrap();
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let creating = admin.create_topics([&new], &AdminOptions::new());
    let created =
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(creating));
    created.unwrap()[0].as_ref().unwrap();
}
