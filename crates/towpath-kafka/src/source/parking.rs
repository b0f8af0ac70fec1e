//! What was given back and waits to be delivered again.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;
use towpath_core::{Headers, Origin};
use towpath_producer::cumulative::CumulativeToken;

use crate::KafkaRecord;

/// A delay without an end: about 30 years.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// A message that can be delivered again.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) record: KafkaRecord,
    pub(super) origin: Origin,
    /// How often it was delivered.
    pub(super) deliveries: u32,
}

/// A message that waits.
#[derive(Debug)]
pub(super) struct Parked {
    pub(super) place: CumulativeToken,
    pub(super) kept: Kept,
}

/// Messages that wait, by when they are due.
///
/// Bounded by what may be handed out beyond the last commits: a message keeps its place there.
#[derive(Debug, Default)]
pub(super) struct Parking {
    parked: BTreeMap<(Instant, u64), Parked>,
    order: u64,
    closed: bool,
}

// === impl Kept ===

impl Kept {
    /// Counts the attempts that its delivery came to, and goes on with its trace.
    pub(super) fn tried(&mut self, attempts: u32, trace: Option<&Headers>) {
        let attempt = self.origin.attempt.saturating_add(attempts);
        self.origin.attempt = attempt;
        if let Some(trace) = trace {
            self.origin.headers = self.origin.headers.updated(trace);
        }
    }

    /// How long to wait: it doubles with each delivery.
    pub(super) fn pause(&self, first: Duration, max: Duration) -> Duration {
        let doublings = self.deliveries.saturating_sub(1).min(31);
        first.saturating_mul(1 << doublings).min(max)
    }
}

// === impl Parking ===

impl Parking {
    pub(super) fn park(&mut self, parked: Parked, after: Duration) {
        let now = Instant::now();
        let due = now.checked_add(after).unwrap_or(now + FAR);
        self.order += 1;
        self.parked.insert((due, self.order), parked);
    }

    /// Takes the first that is due.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Parked> {
        let first = self.parked.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.parked.first_key_value().map(|((due, _), _)| *due)
    }

    /// Lets go of those of a partition.
    pub(super) fn forget(&mut self, numbers: &[u32]) {
        let goes = |parked: &Parked| numbers.contains(&parked.place.partition());
        self.parked.retain(|_, parked| !goes(parked));
    }

    /// Lets go of everything, and takes nothing more.
    pub(super) fn close(&mut self) {
        self.closed = true;
        self.parked.clear();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn len(&self) -> usize {
        self.parked.len()
    }
}
