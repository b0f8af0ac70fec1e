//! Kafka to nothing: messages are received, and committed ten times a second.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};
use tokio::runtime::Runtime;
use tokio::time::Instant;
use towpath::kafka::{KafkaSource, KafkaSourceOptions};
use towpath::{Flow, Source};
use towpath_test_servers::Kafka;

use super::contest::{Contender, Contest};
use super::stopwatch::Stopwatch;
use super::timed::Timed;
use super::{Failed, PAYLOAD, Plan, run, unique};
use crate::measure::clock::Spent;
use crate::runtime::on_worker;

/// The names of the contests.
pub const NAMES: [&str; 3] = ["kafka", "kafka-one", "kafka-1k"];

/// How often both sides commit.
const COMMIT_EVERY: Duration = Duration::from_millis(100);

/// Whatever the client does takes no longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A topic with as many messages as a run has.
#[derive(Debug, Clone)]
pub struct Place {
    brokers: String,
    topic: &'static str,
    messages: u32,
}

/// What a loop looks at of each message.
#[derive(Debug, Clone, Copy)]
enum Look {
    /// The payload: all that a loop needs that does nothing with it.
    Payload,
    /// The headers too, as one must that goes on with traces.
    Headers,
    /// All of it, in memory of its own, as one must that hands messages to other tasks.
    Owned,
}

/// What is read, and what is committed of it.
#[derive(Debug)]
struct Positions {
    topic: &'static str,
    look: Look,
    next: BTreeMap<i32, i64>,
    committed_at: Instant,
}

// === impl Place ===

impl Place {
    /// Fills a topic that is there.
    ///
    /// # Errors
    /// Fails when the broker does.
    pub fn filled(
        brokers: String,
        topic: &'static str,
        messages: u32,
        payload: &[u8],
    ) -> Result<Self, Failed> {
        fill(&brokers, topic, messages, payload)?;
        Ok(Self {
            brokers,
            topic,
            messages,
        })
    }

    /// The contest on this topic.
    pub fn contest(&self, name: &str, title: &str) -> Contest<'static> {
        let place = self.clone();
        let ours = Contender::towpath(move |runtime| place.towpath(runtime, true));
        let plain = self.clone();
        let plain = move |runtime: &_| plain.towpath(runtime, false);
        let plain = Contender::peer("towpath-no-headers", plain);
        let polling = self.clone();
        let polling = Contender::peer("by-hand-poll", move |_| polling.poll(Look::Payload));
        Contest {
            name: name.to_owned(),
            title: title.to_owned(),
            messages: self.messages,
            contenders: vec![
                ours,
                plain,
                self.stream("by-hand", Look::Payload).goal(0.9),
                self.stream("by-hand-headers", Look::Headers),
                self.stream("by-hand-owned", Look::Owned),
                polling,
            ],
        }
    }

    fn towpath(&self, runtime: &Runtime, read_headers: bool) -> Result<Spent, Failed> {
        let options = KafkaSourceOptions::new(self.brokers.as_str(), unique("ours"), [self.topic])
            .commit_every(COMMIT_EVERY)
            .read_headers(read_headers);
        let watch = Stopwatch::of(self.messages);
        let source = Timed::new(KafkaSource::new(options)?, self.messages, &watch);
        let pipeline = Flow::from(Source::new("kafka", source)).acknowledge();
        run(runtime, pipeline, self.messages)?;
        Ok(watch.spent()?)
    }

    /// The loop of async programs.
    fn stream(&self, name: &'static str, look: Look) -> Contender<'static> {
        let place = self.clone();
        Contender::peer(name, move |runtime| {
            let watch = Stopwatch::of(place.messages);
            let reading = place.clone().read_all(look, watch.clone());
            on_worker(runtime, reading)?;
            Ok(watch.spent()?)
        })
    }

    async fn read_all(self, look: Look, watch: Arc<Stopwatch>) -> Result<(), Failed> {
        let consumer: StreamConsumer = self.config().create()?;
        consumer.subscribe(&[self.topic])?;
        let mut positions = Positions::of(self.topic, look);
        for _ in 0..self.messages {
            positions.read(&consumer.recv().await?, &watch);
            positions.commit_in_time(&consumer)?;
        }
        positions.commit_all(&consumer, &watch, self.messages)
    }

    /// A loop on a thread of its own.
    fn poll(&self, look: Look) -> Result<Spent, Failed> {
        let watch = Stopwatch::of(self.messages);
        let consumer: BaseConsumer = self.config().create()?;
        consumer.subscribe(&[self.topic])?;
        let mut positions = Positions::of(self.topic, look);
        for _ in 0..self.messages {
            positions.read(&next(&consumer)?, &watch);
            positions.commit_in_time(&consumer)?;
        }
        positions.commit_all(&consumer, &watch, self.messages)?;
        Ok(watch.spent()?)
    }

    /// What our source tells the client.
    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", unique("hand"))
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("auto.offset.reset", "earliest")
            .set("session.timeout.ms", "15000")
            .set("heartbeat.interval.ms", "3000")
            .set("max.poll.interval.ms", "60000")
            .set("queued.max.messages.kbytes", "4096")
            .set("statistics.interval.ms", "2000")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("fetch.queue.backoff.ms", "5")
            .set("fetch.wait.max.ms", "250")
            .set("socket.keepalive.enable", "true");
        config
    }
}

/// Polls until a message comes: other events come as nothing.
fn next(consumer: &BaseConsumer) -> Result<BorrowedMessage<'_>, Failed> {
    let begun = Instant::now();
    loop {
        match consumer.poll(PATIENCE) {
            Some(message) => return Ok(message?),
            None if begun.elapsed() < PATIENCE => {}
            None => return Err("no message came".into()),
        }
    }
}

// === impl Positions ===

impl Positions {
    fn of(topic: &'static str, look: Look) -> Self {
        Self {
            topic,
            look,
            next: BTreeMap::new(),
            committed_at: Instant::now(),
        }
    }

    fn read(&mut self, message: &BorrowedMessage<'_>, watch: &Stopwatch) {
        watch.came();
        match self.look {
            Look::Payload => {
                black_box(message.payload());
            }
            Look::Headers => {
                black_box((message.payload(), message.headers()));
            }
            Look::Owned => {
                black_box(message.detach());
            }
        }
        self.next.insert(message.partition(), message.offset() + 1);
    }

    fn commit_in_time<C: Consumer>(&mut self, consumer: &C) -> Result<(), Failed> {
        if self.committed_at.elapsed() >= COMMIT_EVERY {
            self.committed_at = Instant::now();
            consumer.commit(&self.list()?, CommitMode::Async)?;
        }
        Ok(())
    }

    fn commit_all<C: Consumer>(
        &self,
        consumer: &C,
        watch: &Stopwatch,
        messages: u32,
    ) -> Result<(), Failed> {
        consumer.commit(&self.list()?, CommitMode::Sync)?;
        watch.settled(messages.into());
        Ok(())
    }

    fn list(&self) -> Result<TopicPartitionList, KafkaError> {
        let mut list = TopicPartitionList::new();
        for (partition, next) in &self.next {
            list.add_partition_offset(self.topic, *partition, Offset::Offset(*next))?;
        }
        Ok(list)
    }
}

/// Puts messages into a topic, in turns into its partitions.
pub(super) fn fill(
    brokers: &str,
    topic: &str,
    messages: u32,
    payload: &[u8],
) -> Result<(), Failed> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("linger.ms", "20")
        .set("queue.buffering.max.messages", "200000");
    let producer: BaseProducer = config.create()?;
    for number in 0..messages {
        let key = number.to_le_bytes();
        send(&producer, BaseRecord::to(topic).key(&key).payload(payload))?;
    }
    Ok(producer.flush(PATIENCE)?)
}

fn send(producer: &BaseProducer, record: BaseRecord<'_, [u8; 4], [u8]>) -> Result<(), Failed> {
    let mut record = record;
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((error, again)) if error.rdkafka_error_code() == Some(Code::QueueFull) => {
                producer.poll(Duration::from_millis(10));
                record = again;
            }
            Err((error, _)) => return Err(error.into()),
        }
    }
}

/// All contests on a broker, each with a topic of its own.
///
/// # Errors
/// Fails when the broker does.
pub fn contests(broker: &Kafka, plan: &Plan) -> Result<Vec<Contest<'static>>, Failed> {
    let all = [
        (
            NAMES[0],
            "64 bytes, four partitions",
            4,
            4_000_000,
            &PAYLOAD[..],
        ),
        (
            NAMES[1],
            "64 bytes, one partition",
            1,
            4_000_000,
            &PAYLOAD[..],
        ),
        (
            NAMES[2],
            "1 KiB, four partitions",
            4,
            1_500_000,
            &[b'x'; 1024][..],
        ),
    ];
    let mut contests = Vec::new();
    for (name, title, partitions, usual, payload) in all {
        if plan.wants(&[name]) {
            broker.create_topic(name, partitions);
            let messages = plan.messages(usual);
            let place = Place::filled(broker.brokers(), name, messages, payload)?;
            let title = format!("{title}, committed ten times a second");
            contests.push(place.contest(name, &title));
        }
    }
    Ok(contests)
}
