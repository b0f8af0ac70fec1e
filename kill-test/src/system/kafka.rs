//! A topic of Kafka, as a source.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};
use tokio::runtime::Runtime;
use towpath::BoxError;
use towpath_test_servers::Kafka;

use super::{Part, Settled, SourcePart, runtime};
use crate::feed::Feed;
use crate::payload::Row;

pub(crate) const TOPIC: &str = "killtest";

/// The group that the pipeline processes make up.
pub(crate) const GROUP: &str = "pipeline";

/// More than there are members.
const PARTITIONS: u32 = 4;

/// Of an answer.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) struct Topic {
    server: Kafka,
    /// Of the group, but without any partition: it asks what the others have committed.
    asker: BaseConsumer,
    places: Places,
}

/// Where each number is.
type Places = Arc<Mutex<HashMap<u64, Place>>>;

#[derive(Clone, Copy, Debug)]
struct Place {
    partition: i32,
    offset: i64,
}

// === impl Topic ===

impl Topic {
    pub(super) fn create() -> Result<Self, BoxError> {
        let server = Kafka::start()?;
        server.create_topic(TOPIC, PARTITIONS);
        let asker = client(&server).set("group.id", GROUP).create()?;
        Ok(Self {
            server,
            asker,
            places: Places::default(),
        })
    }

    /// The next offset of each partition.
    fn committed(&self) -> Result<HashMap<i32, i64>, BoxError> {
        let mut partitions = TopicPartitionList::new();
        for partition in 0..PARTITIONS.cast_signed() {
            partitions.add_partition(TOPIC, partition);
        }
        let committed = self.asker.committed_offsets(partitions, PATIENCE)?;
        let next = committed.elements().into_iter().map(|element| {
            let next = match element.offset() {
                Offset::Offset(next) => next,
                _ => 0,
            };
            (element.partition(), next)
        });
        Ok(next.collect())
    }
}

impl Part for Topic {
    fn address(&self) -> String {
        self.server.brokers()
    }

    fn is_server(&self) -> bool {
        true
    }

    fn kill(&mut self) -> Result<(), BoxError> {
        self.server.kill();
        Ok(())
    }

    fn restart(&mut self) -> Result<(), BoxError> {
        Ok(self.server.restart()?)
    }
}

impl SourcePart for Topic {
    fn feed(&self) -> Result<Box<dyn Feed>, BoxError> {
        let producer = client(&self.server)
            .set("enable.idempotence", "true")
            .set("linger.ms", "1")
            .set("message.timeout.ms", PATIENCE.as_millis().to_string())
            .create()?;
        Ok(Box::new(Sender {
            runtime: runtime()?,
            producer,
            places: self.places.clone(),
        }))
    }

    fn left(&mut self) -> Result<u64, BoxError> {
        let mut left = 0;
        for (partition, next) in self.committed()? {
            let (_, end) = self.asker.fetch_watermarks(TOPIC, partition, PATIENCE)?;
            left += u64::try_from(end - next)?;
        }
        Ok(left)
    }

    fn settled(&mut self) -> Result<Option<Box<dyn Settled>>, BoxError> {
        Ok(Some(Box::new(Committed {
            next: self.committed()?,
            places: self.places.clone(),
        })))
    }
}

/// How far the group was at one moment.
struct Committed {
    next: HashMap<i32, i64>,
    places: Places,
}

impl Settled for Committed {
    /// What the topic has not confirmed has no place that is known: it may come again.
    fn has(&self, number: u64) -> bool {
        let place = lock(&self.places).get(&number).copied();
        place.is_some_and(|place| {
            let next = self.next.get(&place.partition);
            next.is_some_and(|next| place.offset < *next)
        })
    }
}

fn lock(places: &Places) -> MutexGuard<'_, HashMap<u64, Place>> {
    places.lock().unwrap_or_else(PoisonError::into_inner)
}

fn client(server: &Kafka) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", server.brokers())
        // Soon there again, when the server is.
        .set("reconnect.backoff.max.ms", "500");
    config
}

struct Sender {
    runtime: Runtime,
    producer: FutureProducer,
    places: Places,
}

// === impl Sender ===

impl Sender {
    async fn deliver(&self, row: &Row) -> bool {
        let (key, payload) = (row.number.to_string(), row.encoded());
        let record = FutureRecord::to(TOPIC).key(&key).payload(&payload);
        let Ok(delivery) = self.producer.send(record, PATIENCE).await else {
            return false;
        };
        let place = Place {
            partition: delivery.partition,
            offset: delivery.offset,
        };
        lock(&self.places).insert(row.number, place);
        true
    }
}

impl Feed for Sender {
    fn send(&mut self, rows: &[Row]) -> Vec<bool> {
        let all = join_all(rows.iter().map(|row| self.deliver(row)));
        self.runtime.block_on(all)
    }
}
