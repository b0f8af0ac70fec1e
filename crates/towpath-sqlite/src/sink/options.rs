//! The options of a sink.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use towpath_options::{InvalidOptions, Problems};

use crate::Sync;

/// Which file a sink writes to, and how. A path alone will do where everything else is to be
/// as it is unless set.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[must_use = "options do nothing until a sink is made with them"]
pub struct SqliteSinkOptions {
    pub(crate) path: PathBuf,
    #[serde(default)]
    pub(crate) sync: Sync,
    #[serde(default = "busy_timeout", with = "towpath_options::duration")]
    pub(crate) busy_timeout: Duration,
    #[serde(default = "patience", with = "towpath_options::duration")]
    pub(crate) patience: Duration,
    #[serde(default = "remember_for", with = "towpath_options::duration")]
    pub(crate) remember_for: Duration,
}

fn busy_timeout() -> Duration {
    Duration::from_secs(5)
}

pub(super) fn patience() -> Duration {
    Duration::from_secs(300)
}

fn remember_for() -> Duration {
    Duration::from_secs(7 * 24 * 3600)
}

impl SqliteSinkOptions {
    /// Writes to that file, with what the options are unless set.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            sync: Sync::default(),
            busy_timeout: busy_timeout(),
            patience: patience(),
            remember_for: remember_for(),
        }
    }

    /// When a commit waits for the disk; [`Sync::Full`] unless set.
    pub fn sync(mut self, sync: Sync) -> Self {
        self.sync = sync;
        self
    }

    /// How long one attempt waits while another connection writes; 5 s unless set.
    pub fn busy_timeout(mut self, at_most: Duration) -> Self {
        self.busy_timeout = at_most;
        self
    }

    /// How long a batch is tried while the file cannot be written: locked, or the disk full;
    /// 5 minutes unless set. Then it goes back to its source.
    pub fn patience(mut self, at_most: Duration) -> Self {
        self.patience = at_most;
        self
    }

    /// For how long [`once`](crate::SqliteSink::once) remembers a message; a week unless set.
    pub fn remember_for(mut self, time: Duration) -> Self {
        self.remember_for = time;
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

    pub(super) fn look(&self, problems: &mut Problems) {
        if self.path.as_os_str().is_empty() {
            problems.add("path", "is empty");
        }
        problems.expect_sane("busy_timeout", self.busy_timeout);
        problems.expect_sane("patience", self.patience);
        problems.expect_time("remember_for", self.remember_for);
    }
}

impl From<PathBuf> for SqliteSinkOptions {
    fn from(path: PathBuf) -> Self {
        Self::new(path)
    }
}

impl From<&Path> for SqliteSinkOptions {
    fn from(path: &Path) -> Self {
        Self::new(path)
    }
}

impl From<&str> for SqliteSinkOptions {
    fn from(path: &str) -> Self {
        Self::new(path)
    }
}

impl From<String> for SqliteSinkOptions {
    fn from(path: String) -> Self {
        Self::new(path)
    }
}
