//! The options of a source.

use std::{num::NonZeroU32, time::Duration};

use serde::Deserialize;
use towpath_options::{InvalidOptions, Problems, bytes, duration};

use crate::{
    NatsOptions,
    names::{check_filter, check_name, check_subject},
};

/// How messages are received from a stream.
///
/// ```
/// use std::time::Duration;
/// use towpath_nats::JetStreamSourceOptions;
///
/// let options = JetStreamSourceOptions::new("nats://localhost:4222", "ORDERS", "enricher")
///     .filter_subject("orders.*.new")
///     .ack_wait(Duration::from_secs(60));
/// assert!(options.validate().is_ok());
/// ```
///
/// In words, with everything but the first three left out where the default will do:
///
/// ```
/// use towpath_nats::JetStreamSourceOptions;
///
/// let options: JetStreamSourceOptions = serde_json::from_str(r#"{
///     "connection": { "servers": "nats://localhost:4222" },
///     "stream": "ORDERS",
///     "consumer": "enricher",
///     "filter_subject": "orders.*.new",
///     "create_consumer": true,
///     "deliver": "all",
///     "ack_wait": "60s",
///     "hold_at_most": "1h",
///     "max_ack_pending": 10000,
///     "max_pull_bytes": "4MiB",
///     "pull_expires": "10s",
///     "confirm": true
/// }"#)?;
/// assert!(options.validate().is_ok());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[must_use]
pub struct JetStreamSourceOptions {
    pub(crate) connection: NatsOptions,
    pub(crate) stream: String,
    pub(crate) consumer: String,
    #[serde(default)]
    pub(crate) filter_subject: Option<String>,
    #[serde(default)]
    pub(crate) lanes: Option<Lanes>,
    #[serde(default = "yes")]
    pub(crate) create_consumer: bool,
    #[serde(default)]
    pub(crate) deliver: DeliverFrom,
    #[serde(default = "half_a_minute", with = "duration")]
    pub(crate) ack_wait: Duration,
    #[serde(default = "an_hour", with = "duration")]
    pub(crate) hold_at_most: Duration,
    #[serde(default = "ten_thousand")]
    pub(crate) max_ack_pending: u32,
    #[serde(default)]
    pub(crate) max_deliver: Option<NonZeroU32>,
    #[serde(default = "four_mebibytes", with = "bytes")]
    pub(crate) max_pull_bytes: u64,
    #[serde(default = "ten_seconds", with = "duration")]
    pub(crate) pull_expires: Duration,
    #[serde(default = "yes")]
    pub(crate) confirm: bool,
}

/// From where on a new consumer delivers; nothing to one that exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeliverFrom {
    /// Everything that the stream holds.
    #[default]
    All,
    /// What comes after the consumer was created.
    New,
    /// The last message of the stream, and what comes after.
    Last,
    /// The last message of each subject, and what comes after; needs a filter, which may be
    /// `>`.
    LastPerSubject,
    /// From this sequence of the stream on: `{"sequence": 17}` in options.
    Sequence(u64),
}

/// Lanes whose order the server keeps: messages with the same key go one after another, in
/// whatever process they are.
///
/// The subject of a message says its lane: [`lane_subject`](crate::lane_subject) makes it from
/// the key when the message is published.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lanes {
    pub(crate) prefix: String,
    pub(crate) count: NonZeroU32,
}

/// More consumers of one process than anybody wants to look at.
const MOST_LANES: u32 = 1024;

fn yes() -> bool {
    true
}

fn half_a_minute() -> Duration {
    Duration::from_secs(30)
}

fn an_hour() -> Duration {
    Duration::from_secs(3600)
}

fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

fn ten_thousand() -> u32 {
    10_000
}

fn four_mebibytes() -> u64 {
    4 << 20
}

/// Shorter, and the server would be busy with signs of life.
const SHORTEST: Duration = Duration::from_millis(100);

fn expect_not_hasty(problems: &mut Problems, path: &str, time: Duration) {
    problems.expect_sane(path, time);
    if time < SHORTEST {
        problems.add(path, "must be at least 100ms");
    }
}

// === impl Lanes ===

impl Lanes {
    /// The lanes `prefix.0`, `prefix.1` and so on, `count` of them.
    pub fn new(prefix: impl Into<String>, count: NonZeroU32) -> Self {
        let prefix = prefix.into();
        Self { prefix, count }
    }
}

// === impl JetStreamSourceOptions ===

impl JetStreamSourceOptions {
    /// Receives from a durable consumer of a stream, which is created unless it exists.
    ///
    /// All processes with the same consumer share its messages.
    pub fn new(
        connection: impl Into<NatsOptions>,
        stream: impl Into<String>,
        consumer: impl Into<String>,
    ) -> Self {
        Self {
            connection: connection.into(),
            stream: stream.into(),
            consumer: consumer.into(),
            filter_subject: None,
            lanes: None,
            create_consumer: yes(),
            deliver: DeliverFrom::default(),
            ack_wait: half_a_minute(),
            hold_at_most: an_hour(),
            max_ack_pending: ten_thousand(),
            max_deliver: None,
            max_pull_bytes: four_mebibytes(),
            pull_expires: ten_seconds(),
            confirm: yes(),
        }
    }

    /// Only messages with this subject, which may have wildcards; all of the stream unless set.
    pub fn filter_subject(mut self, subject: impl Into<String>) -> Self {
        self.filter_subject = Some(subject.into());
        self
    }

    /// Keeps the order of messages with the same key: one consumer per lane.
    pub fn lanes(mut self, lanes: Lanes) -> Self {
        self.lanes = Some(lanes);
        self
    }

    /// Whether a consumer that does not exist is created, which it is unless set. One that
    /// exists is taken as it is.
    pub fn create_consumer(mut self, create: bool) -> Self {
        self.create_consumer = create;
        self
    }

    /// From where on a new consumer delivers; everything unless set.
    pub fn deliver(mut self, from: DeliverFrom) -> Self {
        self.deliver = from;
        self
    }

    /// How long the server waits for an outcome, or for word that a message is still worked
    /// on, before it delivers the message again; 30 s unless set. Word is sent three times as
    /// often: this is not how long work may take, but how long a dead process is waited for.
    pub fn ack_wait(mut self, wait: Duration) -> Self {
        self.ack_wait = wait;
        self
    }

    /// How long a message may be worked on at most; an hour unless set. Then the server
    /// delivers it again, within `ack_wait`.
    pub fn hold_at_most(mut self, time: Duration) -> Self {
        self.hold_at_most = time;
        self
    }

    /// How many messages may be delivered and without an outcome, over all processes; 10 000
    /// unless set. With lanes it is always 1 for each.
    pub fn max_ack_pending(mut self, messages: u32) -> Self {
        self.max_ack_pending = messages;
        self
    }

    /// How often the server delivers a message; without end unless set.
    ///
    /// After the last time the server is silent: the message stays in the stream, and nobody
    /// gets it. Count attempts in the pipeline instead, and reject: a rejected message reaches
    /// the dead-letter route.
    pub fn max_deliver(mut self, times: NonZeroU32) -> Self {
        self.max_deliver = Some(times);
        self
    }

    /// How many bytes are asked for at once; 4 MiB unless set. A larger message comes alone.
    pub fn max_pull_bytes(mut self, bytes: u64) -> Self {
        self.max_pull_bytes = bytes;
        self
    }

    /// How long the server keeps a request that it has no message for; 10 s unless set. It
    /// shows a sign of life four times as often, and after two that are missing it counts as
    /// out of reach.
    pub fn pull_expires(mut self, time: Duration) -> Self {
        self.pull_expires = time;
        self
    }

    /// Whether the server confirms each outcome, which it does unless set. Without, outcomes
    /// count as sent once they are written to the connection: one that is lost with it means
    /// another delivery.
    pub fn confirm(mut self, confirm: bool) -> Self {
        self.confirm = confirm;
        self
    }

    /// Looks for everything that is wrong.
    ///
    /// # Errors
    /// Fails with all problems, each with its path.
    pub fn validate(&self) -> Result<(), InvalidOptions> {
        let mut problems = Problems::new();
        problems.within("connection", |problems| self.connection.check(problems));
        check_name(&mut problems, "stream", &self.stream);
        check_name(&mut problems, "consumer", &self.consumer);
        if let Some(subject) = &self.filter_subject {
            check_filter(&mut problems, "filter_subject", subject);
        }
        self.check_lanes(&mut problems);
        let has_filter = self.filter_subject.is_some() || self.lanes.is_some();
        if self.deliver == DeliverFrom::LastPerSubject && !has_filter {
            problems.add("deliver", "needs a filter_subject for last_per_subject");
        }
        expect_not_hasty(&mut problems, "ack_wait", self.ack_wait);
        problems.expect_time("hold_at_most", self.hold_at_most);
        problems.expect_some("max_ack_pending", self.max_ack_pending);
        problems.expect_some("max_pull_bytes", self.max_pull_bytes);
        expect_not_hasty(&mut problems, "pull_expires", self.pull_expires);
        problems.into_result()
    }

    fn check_lanes(&self, problems: &mut Problems) {
        let Some(lanes) = &self.lanes else {
            return;
        };
        problems.within("lanes", |problems| {
            check_subject(problems, "prefix", &lanes.prefix);
            if lanes.count.get() > MOST_LANES {
                problems.add("count", format!("must be at most {MOST_LANES}"));
            }
        });
        if self.filter_subject.is_some() {
            problems.add(
                "filter_subject",
                "is said by lanes.prefix where there are lanes",
            );
        }
    }

    /// The consumers and what each is filtered by.
    pub(crate) fn consumers(&self) -> Vec<(String, Option<String>)> {
        let Some(lanes) = &self.lanes else {
            return vec![(self.consumer.clone(), self.filter_subject.clone())];
        };
        let lane = |lane| {
            let filter = format!("{}.{lane}", lanes.prefix);
            (format!("{}-{lane}", self.consumer), Some(filter))
        };
        (0..lanes.count.get()).map(lane).collect()
    }

    /// How many messages of one consumer may be without an outcome.
    pub(crate) fn pending_per_consumer(&self) -> u32 {
        match self.lanes {
            Some(_) => 1,
            None => self.max_ack_pending,
        }
    }

    /// How long a request waits at the server: never so long that what it brings while nobody
    /// listens has run out when it is looked at.
    pub(crate) fn expires(&self, ack_wait: Duration) -> Duration {
        self.pull_expires.min(ack_wait / 2)
    }
}
