//! A broker that all tests share that leave it alone.

use std::sync::{
    OnceLock,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use tokio::task::block_in_place;
use towpath_test_servers::{Kafka, or_not_run};

pub(crate) fn kafka() -> Option<&'static Kafka> {
    static KAFKA: OnceLock<Option<Kafka>> = OnceLock::new();
    let start = || block_in_place(|| or_not_run(Kafka::start()));
    KAFKA.get_or_init(start).as_ref()
}

/// A topic of its own on the shared broker: the brokers, and its name.
pub(crate) fn topic(partitions: u32) -> Option<(String, String)> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let kafka = kafka()?;
    let topic = format!("topic-{}", NUMBER.fetch_add(1, Relaxed));
    block_in_place(|| kafka.create_topic(&topic, partitions));
    Some((kafka.brokers(), topic))
}
