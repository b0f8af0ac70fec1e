//! The options of a queue.

use std::time::Duration;

use serde::Deserialize;
use towpath_options::{InvalidOptions, Problems};

use crate::Sync;

/// How much a message may weigh at most, whatever the options say: SQLite's own limit is a
/// billion bytes.
const HEAVIEST: u64 = 512 << 20;

/// How a queue is opened, and what it takes.
///
/// ```
/// use std::time::Duration;
/// use towpath_sqlite::{SqliteQueueOptions, Sync};
///
/// let options = SqliteQueueOptions::default()
///     .sync(Sync::Normal)
///     .max_messages(50_000)
///     .busy_timeout(Duration::from_secs(10));
/// assert!(options.validate().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use = "options do nothing until a queue is opened with them"]
pub struct SqliteQueueOptions {
    pub(crate) sync: Sync,
    #[serde(with = "towpath_options::duration")]
    pub(crate) busy_timeout: Duration,
    pub(crate) max_messages: u64,
    #[serde(with = "towpath_options::bytes")]
    pub(crate) max_bytes: u64,
    #[serde(with = "towpath_options::bytes")]
    pub(crate) max_message_bytes: u64,
    #[serde(with = "towpath_options::duration")]
    pub(crate) dedup_for: Duration,
    pub(crate) create: bool,
}

impl Default for SqliteQueueOptions {
    fn default() -> Self {
        Self {
            sync: Sync::Full,
            busy_timeout: Duration::from_secs(5),
            max_messages: 1_000_000,
            max_bytes: 1 << 30,
            max_message_bytes: 16 << 20,
            dedup_for: Duration::from_secs(3600),
            create: true,
        }
    }
}

impl SqliteQueueOptions {
    /// When a commit waits for the disk; [`Sync::Full`] unless set.
    pub fn sync(mut self, sync: Sync) -> Self {
        self.sync = sync;
        self
    }

    /// How long to wait while another connection writes; 5 s unless set.
    pub fn busy_timeout(mut self, at_most: Duration) -> Self {
        self.busy_timeout = at_most;
        self
    }

    /// How many messages the queue takes, those that are worked on included; a million unless
    /// set.
    pub fn max_messages(mut self, messages: u64) -> Self {
        self.max_messages = messages;
        self
    }

    /// How many bytes of payloads, keys and headers the queue takes; 1 GiB unless set. The
    /// file is larger than that.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// How many bytes one message may have, its key and headers included; 16 MiB unless set,
    /// and never more than 512 MiB.
    pub fn max_message_bytes(mut self, bytes: u64) -> Self {
        self.max_message_bytes = bytes;
        self
    }

    /// For how long a dedup id is remembered; an hour unless set.
    pub fn dedup_for(mut self, time: Duration) -> Self {
        self.dedup_for = time;
        self
    }

    /// Whether a file that is not there is made; it is, unless set.
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Looks for problems.
    ///
    /// # Errors
    /// Fails with all that is wrong.
    pub fn validate(&self) -> Result<(), InvalidOptions> {
        let mut problems = Problems::new();
        self.look(&mut problems);
        problems.into_result()
    }

    pub(crate) fn look(&self, problems: &mut Problems) {
        problems.expect_sane("busy_timeout", self.busy_timeout);
        problems.expect_some("max_messages", self.max_messages);
        problems.expect_some("max_bytes", self.max_bytes);
        problems.expect_some("max_message_bytes", self.max_message_bytes);
        if self.max_message_bytes > HEAVIEST {
            problems.add("max_message_bytes", "must be at most 512 MiB");
        }
        for (path, limit) in [
            ("max_messages", self.max_messages),
            ("max_bytes", self.max_bytes),
        ] {
            if i64::try_from(limit).is_err() {
                problems.add(path, "is more than a file can count");
            }
        }
        problems.expect_time("dedup_for", self.dedup_for);
    }
}
