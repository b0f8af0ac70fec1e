//! When SQLite waits for the disk.

use serde::Deserialize;

/// When SQLite waits for the disk: what a commit is worth when the power fails.
///
/// All files are in WAL mode. There, by SQLite's own documentation, "transactions are durable
/// across application crashes regardless of the synchronous setting": what was committed
/// survives `kill -9` with each of these. They differ in what survives a crash of the
/// operating system or a loss of power:
///
/// | | a commit | after a loss of power |
/// |---|---|---|
/// | `Off` | waits for nothing | the last commits may be gone, and the file may be corrupt |
/// | `Normal` | waits for nothing; a checkpoint waits for the disk | the last commits may be gone; what is left is consistent |
/// | `Full` | waits until the log is on the disk | nothing that was committed is gone |
/// | `Extra` | in WAL mode the same as `Full` | nothing that was committed is gone |
///
/// A queue waits so for messages that are put in and for outcomes. That a message was claimed,
/// or its lease extended, may be gone after a loss of power, as who had claimed it is.
///
/// All of it holds as far as the disk tells the truth about what it has written, and on a
/// local file system. Sources: [`PRAGMA synchronous`](https://www.sqlite.org/pragma.html#pragma_synchronous),
/// [write-ahead logging](https://www.sqlite.org/wal.html#performance_considerations).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sync {
    /// Never waits. A loss of power may cost the last commits and corrupt the file.
    Off,
    /// Waits at checkpoints only. A loss of power may cost the last commits, and corrupts nothing.
    Normal,
    /// Waits for each commit. A loss of power costs nothing that was committed.
    #[default]
    Full,
    /// As `Full`. SQLite adds a sync of the folder for journals that are deleted, of which WAL
    /// mode has none.
    Extra,
}

impl Sync {
    /// The word of the pragma.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Off => "OFF",
            Self::Normal => "NORMAL",
            Self::Full => "FULL",
            Self::Extra => "EXTRA",
        }
    }
}
