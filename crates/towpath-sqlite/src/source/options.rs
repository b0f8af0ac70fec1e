//! The options of a source.

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;
use towpath_options::{InvalidOptions, Problems};

use crate::SqliteQueueOptions;

/// Which queue a source takes from, and how.
///
/// ```
/// use towpath_options::read_options;
/// use towpath_sqlite::SqliteSourceOptions;
///
/// let text = r#"{ "path": "orders.queue", "queue": { "sync": "normal" }, "lease": "1m" }"#;
/// let options: SqliteSourceOptions = read_options(&mut serde_json::Deserializer::from_str(text))?;
/// options.validate()?;
/// # Ok::<(), towpath_options::InvalidOptions>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[must_use = "options do nothing until a source is made with them"]
pub struct SqliteSourceOptions {
    pub(crate) path: PathBuf,
    #[serde(default)]
    pub(crate) queue: SqliteQueueOptions,
    #[serde(default = "lease", with = "towpath_options::duration")]
    pub(crate) lease: Duration,
    #[serde(default = "hold_at_most", with = "towpath_options::duration")]
    pub(crate) hold_at_most: Duration,
    #[serde(default = "max_claim_bytes", with = "towpath_options::bytes")]
    pub(crate) max_claim_bytes: u64,
    #[serde(default = "poll_every", with = "towpath_options::duration")]
    pub(crate) poll_every: Duration,
}

fn lease() -> Duration {
    Duration::from_secs(30)
}

fn hold_at_most() -> Duration {
    Duration::from_secs(3600)
}

fn max_claim_bytes() -> u64 {
    4 << 20
}

fn poll_every() -> Duration {
    Duration::from_millis(100)
}

impl SqliteSourceOptions {
    /// Takes from the queue in that file, with what the options are unless set.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            queue: SqliteQueueOptions::default(),
            lease: lease(),
            hold_at_most: hold_at_most(),
            max_claim_bytes: max_claim_bytes(),
            poll_every: poll_every(),
        }
    }

    /// How the queue is opened.
    pub fn queue(mut self, options: SqliteQueueOptions) -> Self {
        self.queue = options;
        self
    }

    /// For how long a message is lent; 30 s unless set, and at least 100 ms.
    ///
    /// The lease of a message that is worked on is extended every third of that. When the
    /// process dies, others get the message once its lease has run out.
    pub fn lease(mut self, time: Duration) -> Self {
        self.lease = time;
        self
    }

    /// For how long the lease of a message is extended at most; an hour unless set.
    pub fn hold_at_most(mut self, time: Duration) -> Self {
        self.hold_at_most = time;
        self
    }

    /// How many bytes of payloads, keys and headers are claimed at once; 4 MiB unless set. A
    /// larger message comes alone.
    pub fn max_claim_bytes(mut self, bytes: u64) -> Self {
        self.max_claim_bytes = bytes;
        self
    }

    /// How often to look for messages of other processes while there are none; 100 ms unless
    /// set. What this process puts in through a clone of the same [`SqliteQueue`] is noticed
    /// at once.
    ///
    /// [`SqliteQueue`]: crate::SqliteQueue
    pub fn poll_every(mut self, time: Duration) -> Self {
        self.poll_every = time;
        self
    }

    /// Looks for problems.
    ///
    /// # Errors
    /// Fails with all that is wrong.
    pub fn validate(&self) -> Result<(), InvalidOptions> {
        let mut problems = Problems::new();
        if self.path.as_os_str().is_empty() {
            problems.add("path", "is empty");
        }
        problems.within("queue", |problems| self.queue.look(problems));
        problems.expect_sane("lease", self.lease);
        if self.lease < Duration::from_millis(100) {
            problems.add("lease", "must be at least 100ms");
        }
        problems.expect_time("hold_at_most", self.hold_at_most);
        problems.expect_some("max_claim_bytes", self.max_claim_bytes);
        problems.expect_time("poll_every", self.poll_every);
        problems.into_result()
    }
}
