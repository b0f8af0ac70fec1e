//! A million messages wait, and the server of the sink is away: what becomes of the memory.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::Instant;
use towpath::core::Producer;
use towpath::kafka::{KafkaRecord, KafkaSource, KafkaSourceOptions};
use towpath::nats::{JetStreamMessage, JetStreamSource, JetStreamSourceOptions};
use towpath::postgres::{PostgresSink, PostgresSinkOptions, Row};
use towpath::{Batcher, Flow, Pipeline, SinkStage, Source};
use towpath_test_servers::{Kafka, Nats, Postgres};

use super::postgres::COLUMNS;
use super::{Failed, PAYLOAD, Plan, jetstream, kafka, unique};
use crate::runtime::{on_worker, two_workers};

/// The names of the measurements.
pub const NAMES: [&str; 2] = ["outage-jetstream", "outage-kafka"];

/// Rows of one transaction.
const BATCH: usize = 1000;
/// How often the memory is looked at.
const EVERY: Duration = Duration::from_secs(10);
/// Whatever is waited for takes no longer.
const PATIENCE: Duration = Duration::from_secs(180);
/// Where the messages wait.
const STREAM: &str = "WAITING";
const TOPIC: &str = "waiting";

/// The memory of this process, in bytes.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Memory {
    /// The name of the measurement.
    pub name: &'static str,
    /// What was done.
    pub title: String,
    /// While the server was there.
    #[serde(rename = "bytes_before")]
    pub before: u64,
    /// After so many seconds without it.
    #[serde(rename = "seconds_and_bytes")]
    pub meanwhile: Vec<(u64, u64)>,
    /// When it had all messages.
    #[serde(rename = "bytes_after")]
    pub after: u64,
}

/// A table, and how many messages go into it.
#[derive(Debug)]
struct Goal<'a> {
    server: &'a mut Postgres,
    messages: u32,
}

/// JetStream to a PostgreSQL that goes away.
///
/// # Errors
/// Fails when a server or the pipeline does, and when messages are lost.
pub fn of_jetstream(nats: &Nats, server: &mut Postgres, plan: &Plan) -> Result<Memory, Failed> {
    let messages = plan.messages(1_000_000);
    on_worker(
        &two_workers()?,
        jetstream::fill(nats.url(), STREAM, messages),
    )?;
    let options = JetStreamSourceOptions::new(nats.url(), STREAM, unique("ours"));
    let pipeline = pipeline(JetStreamSource::new(options)?, server, of_message)?;
    let seen = Goal { server, messages }.watch(pipeline, plan)?;
    Ok(seen.called(NAMES[0], messages))
}

/// Kafka to a PostgreSQL that goes away.
///
/// # Errors
/// Fails when a server or the pipeline does, and when messages are lost.
pub fn of_kafka(broker: &Kafka, server: &mut Postgres, plan: &Plan) -> Result<Memory, Failed> {
    let messages = plan.messages(1_000_000);
    broker.create_topic(TOPIC, 4);
    kafka::fill(&broker.brokers(), TOPIC, messages, &PAYLOAD)?;
    let options = KafkaSourceOptions::new(broker.brokers(), unique("ours"), [TOPIC]);
    let pipeline = pipeline(KafkaSource::new(options)?, server, of_record)?;
    let seen = Goal { server, messages }.watch(pipeline, plan)?;
    Ok(seen.called(NAMES[1], messages))
}

fn of_message(message: &JetStreamMessage, row: &mut Row<'_>) {
    let number = i64::try_from(message.stream_sequence).unwrap_or(i64::MAX);
    add(row, number, &message.payload);
}

fn of_record(record: &KafkaRecord, row: &mut Row<'_>) {
    let offset = i64::try_from(record.offset).unwrap_or(i64::MAX >> 20);
    let number = (offset << 8) | i64::from(record.partition);
    add(row, number, record.payload.as_deref().unwrap_or_default());
}

fn add(row: &mut Row<'_>, number: i64, payload: &[u8]) {
    row.add(number)
        .add(String::from_utf8_lossy(payload))
        .add(0.0);
}

fn pipeline<P: Producer<Payload: Sync>>(
    producer: P,
    server: &Postgres,
    write: fn(&P::Payload, &mut Row<'_>),
) -> Result<Pipeline, Failed> {
    let options = PostgresSinkOptions::copy_into(server.url(), "lines", COLUMNS);
    let sink = PostgresSink::new(options, write)?;
    let flow = Flow::from(Source::new("waiting", producer));
    let batches = flow.batch(Batcher::new("batch").max_messages(BATCH));
    Ok(batches.sink(SinkStage::of("postgres", sink)))
}

// === impl Goal ===

impl Goal<'_> {
    fn watch(self, pipeline: Pipeline, plan: &Plan) -> Result<Memory, Failed> {
        self.server.psql(
            "DROP TABLE IF EXISTS lines; CREATE TABLE lines
             (id int8 NOT NULL, customer text NOT NULL, total float8 NOT NULL)",
        );
        let runtime = two_workers()?;
        let running = runtime.block_on(pipeline.start())?;
        self.wait_for(self.messages / 5)?;
        let before = resident()?;
        self.server.kill();
        let meanwhile = samples(plan.away)?;
        self.server.restart()?;
        self.wait_for(self.messages)?;
        let after = resident()?;
        running.handle().drain();
        join(&runtime, running)?;
        Ok(Memory {
            name: "",
            title: String::new(),
            before,
            meanwhile,
            after,
        })
    }

    /// Waits until so many different messages are there.
    fn wait_for(&self, messages: u32) -> Result<(), Failed> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let there = self.server.psql("SELECT count(DISTINCT id) FROM lines");
            if there.parse::<u32>()? >= messages {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("{there} messages arrived of {messages}").into());
            }
            sleep(Duration::from_millis(250));
        }
    }
}

fn join(runtime: &Runtime, running: towpath::Running) -> Result<(), Failed> {
    let report = runtime.block_on(running.join())?;
    match report.counts.rejected {
        0 => Ok(()),
        _ => Err(format!("the report says {:?}", report.counts).into()),
    }
}

fn samples(away: Duration) -> Result<Vec<(u64, u64)>, Failed> {
    let begun = Instant::now();
    let mut samples = Vec::new();
    while begun.elapsed() < away {
        sleep(EVERY.min(away));
        samples.push((begun.elapsed().as_secs(), resident()?));
    }
    Ok(samples)
}

/// What of this process is in memory, as the system says.
fn resident() -> Result<u64, Failed> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let words = line.and_then(|line| line.split_whitespace().next());
    Ok(words
        .ok_or("the system does not say how much memory is used")?
        .parse::<u64>()?
        * 1024)
}

// === impl Memory ===

impl Memory {
    fn called(self, name: &'static str, messages: u32) -> Self {
        let away = self.meanwhile.last().map_or(0, |(seconds, _)| *seconds);
        let title = format!("{messages} messages wait, PostgreSQL is away for {away} s");
        Self {
            name,
            title,
            ..self
        }
    }
}
