//! The options of a sink.

use std::{collections::BTreeMap, fmt, num::NonZeroU32, time::Duration};

use rdkafka::ClientConfig;
use serde::Deserialize;
use towpath_options::{InvalidOptions, Problems, bytes, duration};

use super::{
    Security,
    client::{Common, millis},
    properties::{self, Owned},
    source::topic_problem,
};

/// How a sink sends.
///
/// ```
/// use towpath_kafka::{Compression, KafkaSinkOptions};
///
/// let options = KafkaSinkOptions::new("localhost:9092")
///     .topic("invoices")
///     .compression(Compression::Lz4);
/// options.validate()?;
/// # Ok::<(), towpath_options::InvalidOptions>(())
/// ```
#[derive(Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct KafkaSinkOptions {
    /// Some brokers to begin with, `host:port`, with commas between them.
    pub brokers: String,
    /// Where records go that name no topic of their own.
    pub topic: Option<String>,
    /// How records are packed (`none`).
    pub compression: Compression,
    /// How long the client waits for company before it sends (1 ms).
    #[serde(with = "duration")]
    pub linger: Duration,
    /// How long a batch waits for brokers that are away, before it is given back (5 min).
    #[serde(with = "duration")]
    pub patience: Duration,
    /// The pause that is asked for when a batch is given back (1 s).
    #[serde(with = "duration")]
    pub retry_after: Duration,
    /// The largest record, in bytes: payload, key, headers and some (1 MB, as brokers have it).
    #[serde(with = "bytes")]
    pub max_message: u64,
    /// What the client may hold that is not confirmed, in bytes (32 MiB); a batch waits
    /// beyond that.
    #[serde(with = "bytes")]
    pub buffer: u64,
    /// What the client may hold that is not confirmed, in records (100 000).
    pub buffer_messages: NonZeroU32,
    /// How long a broker may leave a request unanswered (10 s).
    #[serde(with = "duration")]
    pub socket_timeout: Duration,
    /// How long brokers may say that they do not know a topic until it counts (5 s).
    #[serde(with = "duration")]
    pub topic_patience: Duration,
    /// What the brokers call this client in their logs (`towpath`).
    pub client_id: String,
    /// Who connects, and how it is kept secret.
    pub security: Security,
    /// Further properties of librdkafka, by their names there.
    pub properties: BTreeMap<String, String>,
}

/// How records are packed on their way and in the topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Compression {
    /// As they are.
    #[default]
    None,
    /// By gzip: small.
    Gzip,
    /// By Snappy: fast.
    Snappy,
    /// By LZ4: fast.
    Lz4,
}

/// What is set from options, or must be as it is for what this sink promises.
const OWNED: [Owned; 25] = [
    ("compression.codec", "compression"),
    ("compression.type", "compression"),
    ("linger.ms", "linger"),
    ("queue.buffering.max.ms", "linger"),
    ("message.timeout.ms", "patience"),
    ("delivery.timeout.ms", "patience"),
    ("message.max.bytes", "max_message"),
    ("message.copy.max.bytes", ""),
    ("queue.buffering.max.kbytes", "buffer"),
    ("queue.buffering.max.messages", "buffer_messages"),
    ("topic.metadata.propagation.max.ms", "topic_patience"),
    ("enable.idempotence", ""),
    ("acks", ""),
    ("request.required.acks", ""),
    ("retries", ""),
    ("message.send.max.retries", ""),
    ("enable.gapless.guarantee", ""),
    ("transactional.id", ""),
    ("max.in.flight", ""),
    ("max.in.flight.requests.per.connection", ""),
    ("queuing.strategy", ""),
    ("delivery.report.only.error", ""),
    ("dr_cb", ""),
    ("dr_msg_cb", ""),
    ("partitioner_cb", ""),
];

// === impl KafkaSinkOptions ===

impl Default for KafkaSinkOptions {
    /// Names no brokers: these are for you to say.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            brokers: String::new(),
            topic: None,
            compression: Compression::default(),
            linger: Duration::from_millis(1),
            patience: seconds(300),
            retry_after: seconds(1),
            max_message: 1_000_000,
            buffer: 32 * 1024 * 1024,
            buffer_messages: NonZeroU32::new(100_000).expect("100 000 is not zero"),
            socket_timeout: seconds(10),
            topic_patience: seconds(5),
            client_id: "towpath".to_owned(),
            security: Security::default(),
            properties: BTreeMap::new(),
        }
    }
}

impl KafkaSinkOptions {
    /// Sends to these brokers, with commas between them; records name their topics.
    pub fn new(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            ..Self::default()
        }
    }

    /// Where records go that name no topic of their own.
    #[must_use]
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// Packs records so.
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// How long the client waits for company before it sends.
    #[must_use]
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// How long a batch waits for brokers that are away, before it is given back.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The largest record, in bytes.
    #[must_use]
    pub fn max_message(mut self, bytes: u64) -> Self {
        self.max_message = bytes;
        self
    }

    /// What the client may hold that is not confirmed, in bytes.
    #[must_use]
    pub fn buffer(mut self, bytes: u64) -> Self {
        self.buffer = bytes;
        self
    }

    /// How long a broker may leave a request unanswered.
    #[must_use]
    pub fn socket_timeout(mut self, timeout: Duration) -> Self {
        self.socket_timeout = timeout;
        self
    }

    /// What the brokers call this client in their logs.
    #[must_use]
    pub fn client_id(mut self, name: impl Into<String>) -> Self {
        self.client_id = name.into();
        self
    }

    /// Who connects, and how it is kept secret.
    #[must_use]
    pub fn security(mut self, security: Security) -> Self {
        self.security = security;
        self
    }

    /// Sets a further property of librdkafka.
    #[must_use]
    pub fn property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.insert(name.into(), value.into());
        self
    }

    /// Checks all options at once.
    ///
    /// # Errors
    /// Fails with every problem there is, each with its path.
    pub fn validate(&self) -> Result<(), InvalidOptions> {
        let mut problems = Problems::new();
        self.common().check(&mut problems);
        if let Some(problem) = self.topic.as_deref().and_then(topic_problem) {
            problems.add("topic", problem);
        }
        problems.expect_time("patience", self.patience);
        problems.expect_time("topic_patience", self.topic_patience);
        problems.expect_sane("retry_after", self.retry_after);
        problems.expect_sane("linger", self.linger);
        if self.linger >= self.patience {
            problems.add("linger", "must be less than `patience`");
        }
        if !(1_000..=1_000_000_000).contains(&self.max_message) {
            problems.add("max_message", "must be from 1KB to 1GB");
        }
        if self.buffer < self.max_message.max(1024) {
            problems.add("buffer", "must be no less than `max_message`");
        }
        if self.buffer_messages.get() > 10_000_000 {
            problems.add("buffer_messages", "must be at most 10 000 000");
        }
        properties::check(&self.properties, &OWNED, &mut problems);
        properties::check_options(&self.config(), &OWNED, &mut problems);
        problems.into_result()
    }

    fn common(&self) -> Common<'_> {
        Common {
            brokers: &self.brokers,
            client_id: &self.client_id,
            socket_timeout: self.socket_timeout,
            security: &self.security,
            properties: &self.properties,
        }
    }

    /// What the client is told.
    pub(crate) fn config(&self) -> ClientConfig {
        let mut config = self.common().config();
        config.set("enable.idempotence", "true");
        config.set("acks", "all");
        config.set("compression.codec", self.compression.word());
        config.set("linger.ms", self.linger.as_millis().to_string());
        config.set("message.timeout.ms", millis(self.patience));
        config.set("message.max.bytes", self.max_message.to_string());
        config.set(
            "queue.buffering.max.kbytes",
            (self.buffer / 1024).to_string(),
        );
        config.set(
            "queue.buffering.max.messages",
            self.buffer_messages.to_string(),
        );
        config.set(
            "topic.metadata.propagation.max.ms",
            millis(self.topic_patience),
        );
        let defaults = [
            // As the clients in Java do it: a key goes to one partition, whoever sends it.
            ("partitioner", "murmur2_random"),
            ("request.timeout.ms", &*millis(self.socket_timeout)),
        ];
        properties::set_unless_given(&mut config, &self.properties, &defaults);
        config
    }
}

impl fmt::Debug for KafkaSinkOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSinkOptions")
            .field("brokers", &self.brokers)
            .field("topic", &self.topic)
            .field("security", &self.security)
            .field("properties", &properties::Shown(&self.properties))
            .finish_non_exhaustive()
    }
}

// === impl Compression ===

impl Compression {
    fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
        }
    }
}
