//! The options of a source.

use std::time::Duration;

use serde::Deserialize;
use towpath_options::{InvalidOptions, Problems, bytes, duration};

use crate::{
    PostgresOptions, Table,
    queue::{queue_table, yes},
};

const LEASE: Duration = Duration::from_secs(30);
const HOLD_AT_MOST: Duration = Duration::from_secs(60 * 60);
const MAX_CLAIM_BYTES: u64 = 4 << 20;
const POLL_INTERVAL: Duration = Duration::from_secs(1);
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Where a source takes messages from, and how.
///
/// ```
/// use std::time::Duration;
/// use towpath_postgres::{PostgresSourceOptions, WhenDone};
///
/// let options: PostgresSourceOptions = serde_json::from_str(
///     r#"{ "server": "postgres://localhost/shop", "table": "jobs", "lease": "2m" }"#,
/// )?;
/// let same = PostgresSourceOptions::new("postgres://localhost/shop", "jobs")
///     .lease(Duration::from_secs(120))
///     .when_done(WhenDone::Delete);
/// assert_eq!(options.lease, same.lease);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PostgresSourceOptions {
    /// The server.
    pub server: PostgresOptions,
    /// The table of the queue; `towpath_queue` unless set.
    #[serde(default = "queue_table")]
    pub table: Table,
    /// How long a message belongs to whoever took it, unless that is extended; after that,
    /// somebody else may take it. It is extended every third of this while the message is
    /// worked on. 30 s unless set.
    #[serde(default = "lease", with = "duration")]
    pub lease: Duration,
    /// How long a message is worked on at most before its lease is no longer extended. One
    /// hour unless set.
    #[serde(default = "hold_at_most", with = "duration")]
    pub hold_at_most: Duration,
    /// How many bytes of payloads, keys and headers are claimed at once, as the table holds
    /// them; a larger message comes alone. 4 MiB unless set.
    #[serde(default = "max_claim_bytes", with = "bytes")]
    pub max_claim_bytes: u64,
    /// How often an empty queue is looked at. 1 s unless set.
    #[serde(default = "poll_interval", with = "duration")]
    pub poll_interval: Duration,
    /// Whether to wait for notifications too. On unless set; a pooler that lends connections
    /// for one transaction at a time cannot pass them on.
    #[serde(default = "yes")]
    pub listen: bool,
    /// What becomes of messages that are done.
    #[serde(default)]
    pub when_done: WhenDone,
    /// How long the server may take for one of the statements of a source, before it counts
    /// as away. 5 s unless set.
    #[serde(default = "answer_within", with = "duration")]
    pub answer_within: Duration,
}

/// What becomes of messages that are done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WhenDone {
    /// Their rows are deleted.
    #[default]
    Delete,
    /// Their rows stay, with the time in `done_at`. Nobody deletes them later but you.
    Keep,
}

fn lease() -> Duration {
    LEASE
}

fn hold_at_most() -> Duration {
    HOLD_AT_MOST
}

fn max_claim_bytes() -> u64 {
    MAX_CLAIM_BYTES
}

fn poll_interval() -> Duration {
    POLL_INTERVAL
}

fn answer_within() -> Duration {
    ANSWER_WITHIN
}

// === impl PostgresSourceOptions ===

impl PostgresSourceOptions {
    /// The queue in a table of a server.
    pub fn new(server: impl Into<PostgresOptions>, table: impl Into<Table>) -> Self {
        Self {
            server: server.into(),
            table: table.into(),
            lease: LEASE,
            hold_at_most: HOLD_AT_MOST,
            max_claim_bytes: MAX_CLAIM_BYTES,
            poll_interval: POLL_INTERVAL,
            listen: true,
            when_done: WhenDone::Delete,
            answer_within: ANSWER_WITHIN,
        }
    }

    /// How long a message belongs to whoever took it, unless that is extended.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How long a message is worked on at most before its lease is no longer extended.
    #[must_use]
    pub fn hold_at_most(mut self, hold_at_most: Duration) -> Self {
        self.hold_at_most = hold_at_most;
        self
    }

    /// How many bytes of payloads, keys and headers are claimed at once; a larger message comes
    /// alone.
    #[must_use]
    pub fn max_claim_bytes(mut self, bytes: u64) -> Self {
        self.max_claim_bytes = bytes;
        self
    }

    /// How often an empty queue is looked at.
    #[must_use]
    pub fn poll_interval(mut self, poll_interval: Duration) -> Self {
        self.poll_interval = poll_interval;
        self
    }

    /// Whether to wait for notifications too.
    #[must_use]
    pub fn listen(mut self, listen: bool) -> Self {
        self.listen = listen;
        self
    }

    /// What becomes of messages that are done.
    #[must_use]
    pub fn when_done(mut self, when_done: WhenDone) -> Self {
        self.when_done = when_done;
        self
    }

    /// How long the server may take for one of the statements of a source.
    #[must_use]
    pub fn answer_within(mut self, answer_within: Duration) -> Self {
        self.answer_within = answer_within;
        self
    }

    /// Checks the options.
    ///
    /// # Errors
    /// Fails with everything that is wrong.
    pub fn validate(&self) -> Result<(), InvalidOptions> {
        let mut problems = Problems::new();
        self.server.check(&mut problems, "server");
        self.table.check(&mut problems, "table");
        for (path, time) in [
            ("lease", self.lease),
            ("hold_at_most", self.hold_at_most),
            ("poll_interval", self.poll_interval),
            ("answer_within", self.answer_within),
        ] {
            problems.expect_time(path, time);
        }
        problems.expect_some("max_claim_bytes", self.max_claim_bytes);
        if self.lease < Duration::from_millis(100) {
            problems.add("lease", "must be at least 100ms");
        }
        if self.answer_within > self.lease {
            problems.add("answer_within", "must not be longer than the lease");
        }
        problems.into_result()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_in_words_are_the_options_of_the_builder() {
        let text = r#"{"server": "postgres://h/d", "table": {"schema": "a.b", "name": "c"},
            "lease": "1m", "hold_at_most": "2h", "max_claim_bytes": "1MiB", "poll_interval": "250ms", "listen": false,
            "when_done": "keep", "answer_within": "3s"}"#;
        let read: PostgresSourceOptions = serde_json::from_str(text).unwrap();
        let built = PostgresSourceOptions::new("postgres://h/d", Table::in_schema("a.b", "c"))
            .lease(Duration::from_secs(60))
            .hold_at_most(Duration::from_secs(7200))
            .max_claim_bytes(1 << 20)
            .poll_interval(Duration::from_millis(250))
            .listen(false)
            .when_done(WhenDone::Keep)
            .answer_within(Duration::from_secs(3));
        assert_eq!(format!("{read:?}"), format!("{built:?}"));
        read.validate().unwrap();
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let mut options = PostgresSourceOptions::new("postgres://", "").lease(Duration::ZERO);
        options.poll_interval = Duration::MAX;
        options.max_claim_bytes = 0;
        let error = options.validate().unwrap_err().to_string();
        for path in [
            "server.url",
            "table",
            "lease",
            "max_claim_bytes",
            "poll_interval",
            "answer_within",
        ] {
            assert!(error.contains(&format!("{path}: ")), "{error}");
        }
        assert!(
            serde_json::from_str::<PostgresSourceOptions>(r#"{"server": "x", "leese": 1}"#)
                .is_err()
        );
    }
}
