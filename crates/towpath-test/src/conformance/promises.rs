//! What a connector promises beyond the rules that hold for all.

use std::time::Duration;

/// What a source promises.
///
/// A new one promises as much as a good queue can. What a source cannot do is taken away,
/// so that whatever is not mentioned is tested.
///
/// ```
/// use std::time::Duration;
/// use towpath_test::conformance::{Order, SourcePromises};
///
/// let promises = SourcePromises::new()
///     .lease(Duration::from_secs(2))
///     .comes_again_within(Duration::from_secs(4))
///     .order(Order::Total);
/// # let _ = promises;
/// ```
#[derive(Clone, Debug)]
#[must_use]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one promise of its own"
)]
pub struct SourcePromises {
    pub(super) order: Order,
    pub(super) group: Group,
    pub(super) lease: Option<Duration>,
    pub(super) again: Duration,
    pub(super) delays: bool,
    pub(super) counts_attempts: bool,
    pub(super) headers: bool,
    pub(super) durable: bool,
    pub(super) fenced: bool,
    pub(super) makes_place: bool,
    pub(super) prefetch: usize,
    pub(super) largest: usize,
}

/// What a sink promises.
///
/// Whether a message that comes twice is stored twice is read from
/// [`Sink::promise`](towpath::Sink::promise).
#[derive(Clone, Debug)]
#[must_use]
pub struct SinkPromises {
    pub(super) order: Order,
    pub(super) headers: bool,
    pub(super) durable: bool,
    pub(super) makes_place: bool,
    pub(super) largest: usize,
    pub(super) too_large: Option<usize>,
}

/// In which order messages come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Order {
    /// In any.
    Any,
    /// Those of one key as they were put in, to one consumer.
    PerKey,
    /// All as they were put in, to one consumer.
    Total,
}

/// How several consumers of one place share the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Group {
    /// There is but one consumer at a time.
    Alone,
    /// Each message goes to one of them, also while members come and go.
    Shares,
    /// As [`Shares`](Self::Shares), but what is in flight when a member comes or goes may
    /// come to another one too.
    Rebalances,
}

// === impl SourcePromises ===

impl SourcePromises {
    /// Promises as much as a good queue can: order per key, a group, delays, attempts,
    /// headers, and messages that outlive the server. Nothing is leased, and what a dead
    /// consumer had comes again within 5 s.
    pub fn new() -> Self {
        Self {
            order: Order::PerKey,
            group: Group::Shares,
            lease: None,
            again: Duration::from_secs(5),
            delays: true,
            counts_attempts: true,
            headers: true,
            durable: true,
            fenced: true,
            makes_place: false,
            prefetch: 0,
            largest: 512 * 1024,
        }
    }

    /// In which order messages come out (per key).
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// How several consumers share the work ([`Group::Shares`]).
    pub fn group(mut self, group: Group) -> Self {
        self.group = group;
        self
    }

    /// A message goes to somebody else when it is neither settled nor extended for so long.
    /// Let the rig set it short: 1 to 3 seconds.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = Some(lease);
        self
    }

    /// What a consumer had that vanished without a word comes to another one within this
    /// time: a lease, a session timeout, and some (5 s).
    pub fn comes_again_within(mut self, again: Duration) -> Self {
        self.again = again;
        self
    }

    /// A message that is given back comes at once, whatever delay was asked for.
    pub fn without_delays(mut self) -> Self {
        self.delays = false;
        self
    }

    /// The source does not count how often a message was delivered.
    pub fn without_attempts(mut self) -> Self {
        self.counts_attempts = false;
        self
    }

    /// Nothing travels beside the payload.
    pub fn without_headers(mut self) -> Self {
        self.headers = false;
        self
    }

    /// What the server holds is gone when it is killed.
    pub fn not_durable(mut self) -> Self {
        self.durable = false;
        self
    }

    /// An outcome that is told when the message belongs to somebody else already is
    /// accepted by the server, and not known to be stale.
    pub fn not_fenced(mut self) -> Self {
        self.fenced = false;
        self
    }

    /// A place that does not exist is made, and no error.
    pub fn makes_its_place(mut self) -> Self {
        self.makes_place = true;
        self
    }

    /// The server hands out up to so many messages beyond those asked for (0).
    pub fn prefetches(mut self, messages: usize) -> Self {
        self.prefetch = messages;
        self
    }

    /// The largest payload that comes through, in bytes (512 KiB).
    pub fn largest(mut self, bytes: usize) -> Self {
        self.largest = bytes;
        self
    }
}

impl Default for SourcePromises {
    fn default() -> Self {
        Self::new()
    }
}

// === impl SinkPromises ===

impl SinkPromises {
    /// Promises as much as a good sink can: order per key, headers, and messages that
    /// outlive the server once they are done.
    pub fn new() -> Self {
        Self {
            order: Order::PerKey,
            headers: true,
            durable: true,
            makes_place: false,
            largest: 512 * 1024,
            too_large: None,
        }
    }

    /// In which order a single worker's messages are stored (per key).
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Nothing travels beside the payload.
    pub fn without_headers(mut self) -> Self {
        self.headers = false;
        self
    }

    /// What the server holds is gone when it is killed.
    pub fn not_durable(mut self) -> Self {
        self.durable = false;
        self
    }

    /// A place that does not exist is made, and no error.
    pub fn makes_its_place(mut self) -> Self {
        self.makes_place = true;
        self
    }

    /// The largest payload that is stored, in bytes (512 KiB).
    pub fn largest(mut self, bytes: usize) -> Self {
        self.largest = bytes;
        self
    }

    /// A payload of so many bytes is refused by the system.
    pub fn too_large(mut self, bytes: usize) -> Self {
        self.too_large = Some(bytes);
        self
    }
}

impl Default for SinkPromises {
    fn default() -> Self {
        Self::new()
    }
}
