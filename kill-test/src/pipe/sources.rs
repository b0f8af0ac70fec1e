//! The sources of a pipeline process, set so that what a killed one had comes again soon.

use std::time::Duration;

use towpath::kafka::{KafkaSource, KafkaSourceOptions};
use towpath::nats::{JetStreamSource, JetStreamSourceOptions};
use towpath::postgres::{PostgresSource, SourceOptions as JobOptions};
use towpath::prelude::*;
use towpath::sqlite::{SourceOptions, SqliteSource};

use crate::system::jobs::TABLE;
use crate::system::kafka::{GROUP, TOPIC};
use crate::system::nats::{CONSUMER, STREAM};

/// How long others leave alone what a process has taken.
const LEASE: Duration = Duration::from_secs(1);

/// An answer comes sooner than that, or the server is away.
const ANSWER_WITHIN: Duration = Duration::from_millis(900);

pub(super) fn sqlite(path: &str) -> Result<SqliteSource, BoxError> {
    Ok(SqliteSource::new(SourceOptions::new(path).lease(LEASE))?)
}

pub(super) fn nats(url: &str) -> Result<JetStreamSource, BoxError> {
    let options = JetStreamSourceOptions::new(url, STREAM, CONSUMER).ack_wait(LEASE);
    Ok(JetStreamSource::new(options)?)
}

pub(super) fn kafka(brokers: &str) -> Result<KafkaSource, BoxError> {
    let options = KafkaSourceOptions::new(brokers, GROUP, [TOPIC]).session_timeout(LEASE);
    Ok(KafkaSource::new(options)?)
}

pub(super) fn postgres(url: &str) -> Result<PostgresSource, BoxError> {
    let options = JobOptions::new(url, TABLE)
        .lease(LEASE)
        .answer_within(ANSWER_WITHIN);
    Ok(PostgresSource::new(options)?)
}
