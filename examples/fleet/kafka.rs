//! Tasks in a topic of Kafka: those of a customer are all in one partition.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::types::RDKafkaErrorCode;
use towpath::kafka::{KafkaSink, KafkaSinkOptions, KafkaSource, KafkaSourceOptions, Record};
use towpath::prelude::*;

use crate::cli::{Fill, Work};
use crate::task::Task;

/// More than there are members, or some have nothing to do.
const PARTITIONS: i32 = 12;

/// Until the brokers have answered.
const PATIENCE: Duration = Duration::from_secs(5);

/// All members are in one group.
const GROUP: &str = "fleet";

/// Order needs nothing more: a partition has one member at a time.
pub(crate) fn source(options: &Work) -> Result<KafkaSource, BoxError> {
    let place = &options.place;
    let source = KafkaSourceOptions::new(&place.address, GROUP, [&place.name])
        .session_timeout(options.lease);
    Ok(KafkaSource::new(source)?)
}

pub(crate) async fn fill(options: &Fill) -> Result<Report, BoxError> {
    create_topic(options).await?;
    let place = &options.place;
    let sink = KafkaSink::new(KafkaSinkOptions::new(&place.address).topic(&place.name))?;
    let report = Flow::from(Source::iter("tasks", Task::all(options)))
        .try_map(|task| Ok::<_, BoxError>(Record::new(task.to_json()?).key(task.customer)))
        .batch(Batcher::new("batch"))
        .sink(SinkStage::of::<Record>("topic", sink))
        .run()
        .await?;
    Ok(report)
}

/// One that is there is taken as it is.
async fn create_topic(options: &Fill) -> Result<(), BoxError> {
    let place = &options.place;
    let mut config = ClientConfig::new();
    let config = config.set("bootstrap.servers", &place.address);
    let admin: AdminClient<DefaultClientContext> = config.create()?;
    let topic = NewTopic::new(&place.name, PARTITIONS, TopicReplication::Fixed(1));
    let within = AdminOptions::new().request_timeout(Some(PATIENCE));
    let answers = admin.create_topics([&topic], &within).await;
    let answers = answers.map_err(|error| format!("no broker at --address answers: {error}"))?;
    for answer in answers {
        match answer {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => return Err(format!("the topic {topic}: {code}").into()),
        }
    }
    Ok(())
}
