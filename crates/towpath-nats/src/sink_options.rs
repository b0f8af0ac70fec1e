//! The options of a sink.

use std::time::Duration;

use serde::Deserialize;
use towpath_options::{InvalidOptions, Problems, duration};

use crate::{
    NatsOptions,
    names::{check_name, check_subject},
};

/// How messages are published.
///
/// ```
/// use towpath_nats::JetStreamSinkOptions;
///
/// let options: JetStreamSinkOptions = serde_json::from_str(r#"{
///     "connection": { "servers": ["nats://localhost:4222"] },
///     "stream": "ORDERS",
///     "subject_prefix": "tenant-7",
///     "deduplicate": true,
///     "patience": "5m"
/// }"#)?;
/// assert!(options.validate().is_ok());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[must_use]
pub struct JetStreamSinkOptions {
    pub(crate) connection: NatsOptions,
    #[serde(default)]
    pub(crate) stream: Option<String>,
    #[serde(default)]
    pub(crate) subject_prefix: Option<String>,
    #[serde(default = "yes")]
    pub(crate) deduplicate: bool,
    #[serde(default = "five_minutes", with = "duration")]
    pub(crate) patience: Duration,
}

fn yes() -> bool {
    true
}

fn five_minutes() -> Duration {
    Duration::from_secs(300)
}

impl JetStreamSinkOptions {
    /// Publishes to a server.
    pub fn new(connection: impl Into<NatsOptions>) -> Self {
        Self {
            connection: connection.into(),
            stream: None,
            subject_prefix: None,
            deduplicate: yes(),
            patience: five_minutes(),
        }
    }

    /// The stream that must take the messages: one that another stream would take is rejected.
    pub fn stream(mut self, stream: impl Into<String>) -> Self {
        self.stream = Some(stream.into());
        self
    }

    /// What stands before every subject, with a dot between: `tenant-7` makes `orders.new` to
    /// `tenant-7.orders.new`.
    pub fn subject_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.subject_prefix = Some(prefix.into());
        self
    }

    /// Whether a message without an id of its own gets one of the identity that it has from its
    /// source, which it does unless set: a stream leaves out what it has stored already within
    /// its duplicate window.
    ///
    /// The stage that made the batch and the subject are in the id too. Different pipelines
    /// that publish to one subject, from the same source and from stages of the same name,
    /// need ids of their own: to the stream, what they send would be the same.
    pub fn deduplicate(mut self, deduplicate: bool) -> Self {
        self.deduplicate = deduplicate;
        self
    }

    /// How long a batch waits for a server that is away before it is given back; 5 minutes
    /// unless set.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Looks for everything that is wrong.
    ///
    /// # Errors
    /// Fails with all problems, each with its path.
    pub fn validate(&self) -> Result<(), InvalidOptions> {
        let mut problems = Problems::new();
        problems.within("connection", |problems| self.connection.check(problems));
        if let Some(stream) = &self.stream {
            check_name(&mut problems, "stream", stream);
        }
        if let Some(prefix) = &self.subject_prefix {
            check_subject(&mut problems, "subject_prefix", prefix);
        }
        problems.expect_time("patience", self.patience);
        problems.into_result()
    }
}
