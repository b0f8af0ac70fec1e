//! The options of a source.

use std::{collections::BTreeMap, fmt, num::NonZeroUsize, time::Duration};

use rdkafka::ClientConfig;
use serde::Deserialize;
use towpath_options::{InvalidOptions, Problems, bytes, duration};

use super::{
    Security,
    client::{Common, millis},
    properties::{self, Owned},
};
use crate::source::MAX_TOPICS;

/// How a source joins its group, and how much it has in hand.
///
/// Read from data with times such as `"10s"` and sizes such as `"1MiB"`, or built:
///
/// ```
/// use std::time::Duration;
/// use towpath_kafka::{KafkaSourceOptions, Start};
///
/// let options = KafkaSourceOptions::new("one:9092,two:9092", "billing", ["orders"])
///     .start(Start::Latest)
///     .revoke_deadline(Duration::from_secs(20));
/// options.validate()?;
/// # Ok::<(), towpath_options::InvalidOptions>(())
/// ```
#[derive(Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct KafkaSourceOptions {
    /// Some brokers to begin with, `host:port`, with commas between them.
    pub brokers: String,
    /// The consumer group.
    pub group: String,
    /// The topics; names, no patterns. Their order numbers the partitions of several topics
    /// (see [`KafkaSource`](crate::KafkaSource)): append new ones.
    pub topics: Vec<String>,
    /// How partitions are shared out (`cooperative_sticky`).
    pub assignment: Assignment,
    /// Where a group begins that has no position yet (`earliest`).
    pub start: Start,
    /// A member that is not heard of for so long is dead to its group (15 s).
    #[serde(with = "duration")]
    pub session_timeout: Duration,
    /// How long the group waits for a member to join it again as partitions move (60 s).
    #[serde(with = "duration")]
    pub rebalance_timeout: Duration,
    /// How long a partition that goes to another member is held for what is in flight of it
    /// (10 s); then it is let go, and late outcomes are stale.
    #[serde(with = "duration")]
    pub revoke_deadline: Duration,
    /// The least time between two commits (50 ms); the first comes at once.
    #[serde(with = "duration")]
    pub commit_every: Duration,
    /// How long to wait until a commit is confirmed (10 s).
    #[serde(with = "duration")]
    pub commit_timeout: Duration,
    /// The most messages of a partition beyond its last commit (50 000); it commits early when half
    /// of them are handed out.
    pub max_uncommitted: NonZeroUsize,
    /// What is fetched ahead of each partition, in bytes (4 MiB); one fetch goes beyond.
    #[serde(with = "bytes")]
    pub fetch_ahead: u64,
    /// Whether headers are read (yes). Without them nothing is known of traces and attempts that
    /// begin elsewhere, and each message costs a little less: for topics that have none.
    pub read_headers: bool,
    /// The pause before a message that was given back is delivered again (100 ms); it
    /// doubles each time, and a longer one that was asked for is kept.
    #[serde(with = "duration")]
    pub first_retry: Duration,
    /// The longest such pause, unless a longer one was asked for (30 s).
    #[serde(with = "duration")]
    pub max_retry: Duration,
    /// How often the client tells its figures: lag, and whether a broker is there (2 s).
    #[serde(with = "duration")]
    pub figures_every: Duration,
    /// How long a broker may leave a request unanswered (10 s).
    #[serde(with = "duration")]
    pub socket_timeout: Duration,
    /// How long the end waits until the group is left (3 s); the client goes on alone then.
    #[serde(with = "duration")]
    pub close_timeout: Duration,
    /// A name that makes this a static member: one that restarts within the session timeout
    /// finds its partitions again. Each member has its own.
    pub instance: Option<String>,
    /// What the brokers call this client in their logs (`towpath`).
    pub client_id: String,
    /// Who connects, and how it is kept secret.
    pub security: Security,
    /// Further properties of librdkafka, by their names there.
    pub properties: BTreeMap<String, String>,
}

/// How partitions are shared out among the members of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Assignment {
    /// Evenly, and a partition moves only where it must: all others go on meanwhile.
    #[default]
    CooperativeSticky,
    /// Each topic in ranges; everything stops while partitions move.
    Range,
    /// In turns; everything stops while partitions move.
    RoundRobin,
}

/// Where a group begins that has no position yet, or one that is not there any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Start {
    /// At the oldest message there is.
    #[default]
    Earliest,
    /// After the newest one: what came before is left out.
    Latest,
    /// Nowhere: it is an error.
    Fail,
}

/// What is set from options, or must be as it is for what this source promises.
const OWNED: [Owned; 22] = [
    ("group.id", "group"),
    ("group.instance.id", "instance"),
    ("group.protocol", ""),
    ("group.protocol.type", ""),
    ("group.remote.assignor", ""),
    ("partition.assignment.strategy", "assignment"),
    ("auto.offset.reset", "start"),
    ("session.timeout.ms", "session_timeout"),
    ("heartbeat.interval.ms", "session_timeout"),
    ("max.poll.interval.ms", "rebalance_timeout"),
    ("queued.max.messages.kbytes", "fetch_ahead"),
    ("statistics.interval.ms", "figures_every"),
    ("enable.auto.commit", "commit_every"),
    ("auto.commit.enable", "commit_every"),
    ("auto.commit.interval.ms", "commit_every"),
    ("enable.auto.offset.store", "commit_every"),
    ("offset.store.method", "commit_every"),
    ("offset_commit_cb", ""),
    ("rebalance_cb", ""),
    ("consume_cb", ""),
    ("enable.partition.eof", ""),
    ("consume.callback.max.messages", ""),
];

// === impl KafkaSourceOptions ===

impl Default for KafkaSourceOptions {
    /// Names no brokers, no group and no topics: these are for you to say.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            brokers: String::new(),
            group: String::new(),
            topics: Vec::new(),
            assignment: Assignment::default(),
            start: Start::default(),
            session_timeout: seconds(15),
            rebalance_timeout: seconds(60),
            revoke_deadline: seconds(10),
            commit_every: Duration::from_millis(50),
            commit_timeout: seconds(10),
            max_uncommitted: NonZeroUsize::new(50_000).expect("50 000 is not zero"),
            fetch_ahead: 4 * 1024 * 1024,
            read_headers: true,
            first_retry: Duration::from_millis(100),
            max_retry: seconds(30),
            figures_every: seconds(2),
            socket_timeout: seconds(10),
            close_timeout: seconds(3),
            instance: None,
            client_id: "towpath".to_owned(),
            security: Security::default(),
            properties: BTreeMap::new(),
        }
    }
}

impl KafkaSourceOptions {
    /// Reads topics as a member of a group; `brokers` with commas between them.
    pub fn new(
        brokers: impl Into<String>,
        group: impl Into<String>,
        topics: impl IntoIterator<Item: Into<String>>,
    ) -> Self {
        Self {
            brokers: brokers.into(),
            group: group.into(),
            topics: topics.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// Shares partitions out so.
    #[must_use]
    pub fn assignment(mut self, assignment: Assignment) -> Self {
        self.assignment = assignment;
        self
    }

    /// Where a group begins that has no position yet.
    #[must_use]
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// A member that is not heard of for so long is dead to its group.
    #[must_use]
    pub fn session_timeout(mut self, timeout: Duration) -> Self {
        self.session_timeout = timeout;
        self
    }

    /// How long the group waits for a member to join it again.
    #[must_use]
    pub fn rebalance_timeout(mut self, timeout: Duration) -> Self {
        self.rebalance_timeout = timeout;
        self
    }

    /// How long a partition that goes away is held for what is in flight of it.
    #[must_use]
    pub fn revoke_deadline(mut self, deadline: Duration) -> Self {
        self.revoke_deadline = deadline;
        self
    }

    /// The least time between two commits.
    #[must_use]
    pub fn commit_every(mut self, every: Duration) -> Self {
        self.commit_every = every;
        self
    }

    /// The most messages of a partition beyond its last commit.
    #[must_use]
    pub fn max_uncommitted(mut self, messages: NonZeroUsize) -> Self {
        self.max_uncommitted = messages;
        self
    }

    /// What is fetched ahead of each partition, in bytes.
    #[must_use]
    pub fn fetch_ahead(mut self, bytes: u64) -> Self {
        self.fetch_ahead = bytes;
        self
    }

    /// Reads headers, or leaves them out.
    #[must_use]
    pub fn read_headers(mut self, yes: bool) -> Self {
        self.read_headers = yes;
        self
    }

    /// The first and the longest pause before what was given back is delivered again.
    #[must_use]
    pub fn retry(mut self, first: Duration, max: Duration) -> Self {
        self.first_retry = first;
        self.max_retry = max;
        self
    }

    /// How long a broker may leave a request unanswered.
    #[must_use]
    pub fn socket_timeout(mut self, timeout: Duration) -> Self {
        self.socket_timeout = timeout;
        self
    }

    /// Makes this a static member of its group, under a name of its own.
    #[must_use]
    pub fn instance(mut self, name: impl Into<String>) -> Self {
        self.instance = Some(name.into());
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
        self.check_names(&mut problems);
        self.check_times(&mut problems);
        if self.fetch_ahead < 1024 {
            problems.add("fetch_ahead", "must be at least 1KiB");
        }
        properties::check(&self.properties, &OWNED, &mut problems);
        properties::check_options(&self.config(), &OWNED, &mut problems);
        problems.into_result()
    }

    fn check_names(&self, problems: &mut Problems) {
        if self.group.is_empty() {
            problems.add("group", "must not be empty");
        }
        if self.instance.as_ref().is_some_and(String::is_empty) {
            problems.add("instance", "must not be empty");
        }
        if self.topics.is_empty() {
            problems.add("topics", "must name at least one topic");
        }
        if self.topics.len() > MAX_TOPICS {
            problems.add("topics", format!("must be at most {MAX_TOPICS}"));
        }
        for (index, topic) in self.topics.iter().enumerate() {
            let path = format!("topics[{index}]");
            if let Some(problem) = topic_problem(topic) {
                problems.add(&path, problem);
            } else if self.topics[..index].contains(topic) {
                problems.add(&path, "is there twice");
            }
        }
    }

    fn check_times(&self, problems: &mut Problems) {
        let times = [
            ("session_timeout", self.session_timeout),
            ("rebalance_timeout", self.rebalance_timeout),
            ("revoke_deadline", self.revoke_deadline),
            ("commit_timeout", self.commit_timeout),
            ("first_retry", self.first_retry),
            ("max_retry", self.max_retry),
            ("figures_every", self.figures_every),
            ("close_timeout", self.close_timeout),
        ];
        for (path, time) in times {
            problems.expect_time(path, time);
        }
        problems.expect_sane("commit_every", self.commit_every);
        if self.rebalance_timeout < self.session_timeout {
            problems.add(
                "rebalance_timeout",
                "must be no less than `session_timeout`",
            );
        }
        if self.revoke_deadline >= self.rebalance_timeout {
            problems.add("revoke_deadline", "must be less than `rebalance_timeout`");
        }
        if self.max_retry < self.first_retry {
            problems.add("max_retry", "must be no less than `first_retry`");
        }
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
        let heartbeat = (self.session_timeout / 5).min(Duration::from_secs(3));
        config.set("group.id", &self.group);
        config.set("partition.assignment.strategy", self.assignment.word());
        config.set("auto.offset.reset", self.start.word());
        config.set("session.timeout.ms", millis(self.session_timeout));
        config.set("heartbeat.interval.ms", millis(heartbeat));
        config.set("max.poll.interval.ms", millis(self.rebalance_timeout));
        config.set(
            "queued.max.messages.kbytes",
            (self.fetch_ahead / 1024).to_string(),
        );
        config.set("statistics.interval.ms", millis(self.figures_every));
        config.set("enable.auto.commit", "false");
        config.set("enable.auto.offset.store", "false");
        config.set("enable.partition.eof", "false");
        if let Some(instance) = &self.instance {
            config.set("group.instance.id", instance);
        }
        let defaults = [
            // A fetch that found the queue full is tried again soon, not after a second.
            ("fetch.queue.backoff.ms", "5"),
            ("fetch.wait.max.ms", "250"),
            ("coordinator.query.interval.ms", "10000"),
        ];
        properties::set_unless_given(&mut config, &self.properties, &defaults);
        config
    }
}

impl fmt::Debug for KafkaSourceOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSourceOptions")
            .field("brokers", &self.brokers)
            .field("group", &self.group)
            .field("topics", &self.topics)
            .field("security", &self.security)
            .field("properties", &properties::Shown(&self.properties))
            .finish_non_exhaustive()
    }
}

/// Names as Kafka takes them; a pattern would begin with `^`.
pub(super) fn topic_problem(topic: &str) -> Option<&'static str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if topic.is_empty() || topic.len() > 249 || matches!(topic, "." | "..") {
        return Some("must be a name of 1 to 249 letters");
    }
    (!topic.chars().all(is_plain)).then_some("must be of letters, digits, `.`, `_` and `-` only")
}

// === impl Assignment ===

impl Assignment {
    fn word(self) -> &'static str {
        match self {
            Self::CooperativeSticky => "cooperative-sticky",
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
        }
    }
}

// === impl Start ===

impl Start {
    fn word(self) -> &'static str {
        match self {
            Self::Earliest => "earliest",
            Self::Latest => "latest",
            Self::Fail => "error",
        }
    }
}
