//! What holds commits back.

use std::{
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

use super::group::Group;
use crate::lock::lock;

/// A view on what holds the commits of a source back.
///
/// A message that fails again and again keeps its partition where it is: nothing is lost,
/// and all that came after it would come again after a restart. Look at the age of the
/// oldest one to learn of it.
#[derive(Clone)]
pub struct Unsettled(Weak<Group>);

/// The message that has been without an outcome for the longest time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Oldest {
    /// Its topic.
    pub topic: Arc<str>,
    /// Its partition.
    pub partition: i32,
    /// Its place there: what the group has committed.
    pub offset: u64,
    /// For how long it has been without an outcome, deliveries before this one included.
    pub age: Duration,
}

// === impl Unsettled ===

impl Unsettled {
    pub(super) fn new(group: &Arc<Group>) -> Self {
        Self(Arc::downgrade(group))
    }

    /// The oldest message without an outcome in all partitions; `None` where there is none.
    pub fn oldest(&self) -> Option<Oldest> {
        let group = self.0.upgrade()?;
        let partitions = lock(&group.partitions);
        let each = partitions.iter().filter_map(|(number, held)| {
            let (offset, age) = group.offsets.oldest(number)?;
            Some(Oldest {
                topic: held.place.topic.clone(),
                partition: held.place.partition,
                offset,
                age,
            })
        });
        each.max_by_key(|oldest| oldest.age)
    }

    /// How many messages wait to be delivered again.
    pub fn waiting(&self) -> usize {
        let group = self.0.upgrade();
        group.map_or(0, |group| lock(&group.parking).len())
    }
}

impl fmt::Debug for Unsettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unsettled")
            .field("oldest", &self.oldest())
            .finish_non_exhaustive()
    }
}
