//! A member of a consumer group as a source.

mod acknowledger;
mod commits;
mod context;
mod events;
mod figures;
mod group;
mod membership;
mod parking;
mod partitions;
mod receiving;
mod run;
#[cfg(test)]
mod tests;
mod trouble;
mod unsettled;

use std::{future::pending, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};
use towpath_core::{BoxError, Intake, Lag, Peer, Producer, Received, Redelivery, Settlement};
use towpath_options::InvalidOptions;

pub use acknowledger::{KafkaAcknowledger, KafkaToken};
pub use unsettled::{Oldest, Unsettled};

use crate::{KafkaError, KafkaRecord, KafkaSourceOptions, lock::lock};
use group::Group;
use membership::Membership;

/// How many topics a source may have.
pub(crate) const MAX_TOPICS: usize = 4096;

/// How long a trouble that was told is waited out before it is told again.
const PATIENCE: Duration = Duration::from_secs(5);

/// The messages of some topics, as one member of a consumer group gets them.
///
/// Whatever is done, rejected or left out is committed, up to the oldest message of its
/// partition that is not: a restart, or another member, goes on there. What is given back is
/// delivered again in this process, after the pause that was asked for and no less than one
/// that doubles each time; it is never committed over.
///
/// # Order
/// Messages of a partition come in their order. One that is given back comes after others
/// that were behind it.
///
/// # Positions
/// [`Origin::position`](towpath_core::Origin::position) numbers the partitions of all
/// topics: that of the first topic in the options is the number in Kafka, and each further
/// topic begins 2^20 after the one before. The identity is `topic:partition:offset`.
///
/// # Groups
/// As partitions move, this member hands out nothing more of those that go away, and holds
/// them until all that is in flight of them is settled and committed, but no longer than the
/// deadline. Later outcomes are stale, and never committed. The others go on meanwhile.
///
/// ```
/// use towpath_kafka::{KafkaSource, KafkaSourceOptions};
///
/// let options = KafkaSourceOptions::new("localhost:9092", "billing", ["orders"]);
/// let source = KafkaSource::new(options)?; // connects when it is first asked for messages
/// # drop(source);
/// # Ok::<(), towpath_options::InvalidOptions>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct KafkaSource {
    membership: Arc<Membership>,
    group: Arc<Group>,
    /// The partition that was asked last.
    last: u32,
    /// What was told last, and until when it is waited for.
    told: Option<KafkaError>,
    tell_again: Option<Instant>,
}

// === impl KafkaSource ===

impl KafkaSource {
    /// A member of the group that the options name; nothing connects yet.
    ///
    /// # Errors
    /// Fails with every problem that the options have.
    pub fn new(options: KafkaSourceOptions) -> Result<Self, InvalidOptions> {
        options.validate()?;
        let group = Arc::new(Group::new(options));
        Ok(Self {
            membership: Arc::new(Membership::new(group.clone())),
            group,
            last: u32::MAX,
            told: None,
            tell_again: None,
        })
    }

    /// A view on what holds commits back. It may be looked at while the source runs.
    pub fn unsettled(&self) -> Unsettled {
        Unsettled::new(&self.group)
    }

    /// What keeps messages from coming, when it is time to tell it.
    fn trouble(&mut self) -> Option<KafkaError> {
        let assigned = self.group.is_assigned();
        let current = lock(&self.group.troubles).current(assigned)?;
        if self.told.as_ref() != Some(&current) {
            self.told = Some(current.clone());
            self.tell_again = None;
            return Some(current);
        }
        let again = *self
            .tell_again
            .get_or_insert_with(|| Instant::now() + PATIENCE);
        if Instant::now() < again {
            return None;
        }
        self.tell_again = None;
        Some(current)
    }

    /// Whether a trouble that was told is over.
    fn is_well_again(&mut self) -> bool {
        let assigned = self.group.is_assigned();
        let is_well = lock(&self.group.troubles).current(assigned).is_none();
        if is_well {
            self.tell_again = None;
        }
        is_well && self.told.take().is_some()
    }

    /// Waits until something has come, is due, or is to be told.
    async fn wait(&self) {
        let due = lock(&self.group.parking).next_due();
        let next = [due, self.tell_again].into_iter().flatten().min();
        let due = async {
            match next {
                Some(next) => sleep_until(next).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = self.group.wake.notified() => {}
            () = due => {}
        }
    }
}

impl Producer for KafkaSource {
    type Payload = KafkaRecord;
    type Acknowledger = KafkaAcknowledger;

    /// Takes what the client has fetched. Nothing is taken out before there is room for it:
    /// cancel safe.
    async fn receive(
        &mut self,
        intake: &mut Intake<KafkaRecord, KafkaToken>,
    ) -> Result<Received, BoxError> {
        self.membership.begin()?;
        loop {
            if receiving::take(&self.group, intake, &mut self.last) > 0 || intake.room() == 0 {
                self.told = None;
                return Ok(Received::More);
            }
            if let Some(trouble) = self.trouble() {
                return Err(trouble.into());
            }
            if self.is_well_again() {
                return Ok(Received::More);
            }
            self.wait().await;
        }
    }

    /// Hands out nothing more. What waits to be delivered again is let go: it is not
    /// committed, and comes after a restart.
    async fn drain(
        &mut self,
        _intake: &mut Intake<KafkaRecord, KafkaToken>,
    ) -> Result<(), BoxError> {
        lock(&self.group.parking).close();
        Ok(())
    }

    fn acknowledger(&mut self) -> Option<KafkaAcknowledger> {
        let membership = self.membership.clone();
        Some(KafkaAcknowledger::new(self.group.clone(), membership))
    }

    fn peer(&self) -> Peer {
        let peer = Peer::new("kafka");
        match &*self.group.topics {
            [topic] => peer.destination(topic.clone()),
            _ => peer,
        }
    }

    fn lag(&self) -> Option<Lag> {
        Some(self.group.lag.clone())
    }

    fn redelivery(&self) -> Redelivery {
        Redelivery::Durable
    }

    fn settlement(&self) -> Settlement {
        Settlement::Cumulative
    }
}
