//! The sources of a pipeline process, set so that what a killed one had comes again soon.

use std::time::Duration;

use towpath::kafka::{KafkaSource, KafkaSourceOptions};
use towpath::nats::{JetStreamSource, JetStreamSourceOptions};
use towpath::postgres::{PostgresSource, PostgresSourceOptions};
use towpath::prelude::*;
use towpath::sqlite::{SqliteSource, SqliteSourceOptions};

use crate::system::jobs::TABLE;
use crate::system::kafka::{GROUP, TOPIC};
use crate::system::nats::{CONSUMER, STREAM};
use crate::system::queue::queue_options;

/// How long others leave alone what a process has taken: longer than a busy machine stands still,
/// with a third of it gone already. What is taken from a process that lives is no kill's doing.
const LEASE: Duration = Duration::from_secs(4);

/// The same of a member of a group, which says five times as often that it is there.
const SESSION: Duration = Duration::from_secs(3);

/// An answer comes sooner than that, or the server is away.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

pub(super) fn sqlite(path: &str) -> Result<SqliteSource, BoxError> {
    let options = SqliteSourceOptions::new(path).queue(queue_options());
    Ok(SqliteSource::new(options.lease(LEASE))?)
}

pub(super) fn nats(url: &str) -> Result<JetStreamSource, BoxError> {
    let options = JetStreamSourceOptions::new(url, STREAM, CONSUMER).ack_wait(LEASE);
    Ok(JetStreamSource::new(options)?)
}

pub(super) fn kafka(brokers: &str) -> Result<KafkaSource, BoxError> {
    let options = KafkaSourceOptions::new(brokers, GROUP, [TOPIC]).session_timeout(SESSION);
    Ok(KafkaSource::new(options)?)
}

pub(super) fn postgres(url: &str) -> Result<PostgresSource, BoxError> {
    let options = PostgresSourceOptions::new(url, TABLE)
        .lease(LEASE)
        .answer_within(ANSWER_WITHIN);
    Ok(PostgresSource::new(options)?)
}
