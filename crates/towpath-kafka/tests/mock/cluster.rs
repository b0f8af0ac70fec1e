//! A cluster that plays faults.

use rdkafka::{mocking::MockCluster, producer::DefaultProducerContext};

pub(crate) type Cluster = MockCluster<'static, DefaultProducerContext>;

pub(crate) const TOPIC: &str = "orders";

/// A cluster of so many brokers with a topic of so many partitions, and its address.
pub(crate) fn cluster(brokers: i32, partitions: i32) -> (Cluster, String) {
    let cluster = MockCluster::new(brokers).unwrap();
    cluster.create_topic(TOPIC, partitions, 1).unwrap();
    let address = cluster.bootstrap_servers();
    (cluster, address)
}
