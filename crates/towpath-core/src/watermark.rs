//! How far a cumulative source may commit: the contiguous low-water mark.
//!
//! A cumulative source, such as a Kafka partition, knows one number: all before
//! it is done. Messages finish in any order, so the number may only follow the
//! oldest one that is not settled.
//!
//! ```
//! use std::time::Duration;
//! use towpath_core::watermark::{Progress, WatermarkError, Watermarks};
//!
//! let mut marks = Watermarks::default();
//! marks.assign(0, 1)?;
//! for offset in [5, 6, 9] { // compaction took 7 and 8
//!     marks.emitted(0, 1, offset, Duration::ZERO)?;
//! }
//! assert_eq!(marks.settled(0, 1, 6), Progress::Waiting);
//! assert_eq!(marks.settled(0, 1, 5), Progress::Advanced { commit: 7 });
//! assert_eq!(marks.oldest(0), Some((9, Duration::ZERO)));
//! # Ok::<(), WatermarkError>(())
//! ```
//!
//! ```text
//! offset     5        6        9
//!         settled  settled  in flight
//!                          ▲
//!                          └ commit 7, the next to read; a restart repeats 9 only
//! ```
//!
//! # Constraints
//! - Per partition at most `ceiling` offsets (10 000) are emitted beyond the
//!   last commit, settled ones that wait behind an older one included: this
//!   bounds the memory and what a restart repeats.
//! - Each call is O(log `ceiling`), and O(1) where the offsets have no gaps.
//! - A partition that was ever assigned is remembered by its last generation.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    num::NonZeroUsize,
    ops::Range,
    time::Duration,
};

const CEILING: NonZeroUsize = NonZeroUsize::new(10_000).expect("10 000 is not zero");

/// How far each partition of a cumulative source may commit.
///
/// Every assignment of a partition has a generation, higher than the one
/// before. What is left of an earlier one is told as stale and changes nothing.
#[derive(Clone, Debug)]
pub struct Watermarks {
    ceiling: NonZeroUsize,
    partitions: BTreeMap<u32, Partition>,
}

/// What became of settling one offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "an advance that is not committed is repeated after a restart"]
pub enum Progress {
    /// Everything before `commit`, the next offset to read, is settled.
    Advanced {
        /// One more than the highest settled offset with nothing unsettled before it.
        commit: u64,
    },
    /// An older offset is not settled yet.
    Waiting,
    /// The assignment it was emitted under is over.
    Stale,
    /// It was never emitted under this assignment.
    Unknown,
    /// It was settled before.
    Duplicate,
}

/// Why an assignment or an emitted offset was refused; nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum WatermarkError {
    /// The partition was never assigned, or not under this generation yet.
    #[error("partition {partition} is not assigned under generation {generation}")]
    NotAssigned {
        /// The partition.
        partition: u32,
        /// The generation that was named.
        generation: u64,
    },
    /// The assignment is over.
    #[error("generation {generation} of partition {partition} is over, the last is {last}")]
    Stale {
        /// The partition.
        partition: u32,
        /// The generation that was named.
        generation: u64,
        /// The last generation that the partition was assigned under.
        last: u64,
    },
    /// The offset is not above the last one. A source that seeks back needs a
    /// new generation.
    #[error("offset {offset} of partition {partition} does not come after {last}")]
    NotAscending {
        /// The partition.
        partition: u32,
        /// The offset that was named.
        offset: u64,
        /// The last offset emitted.
        last: u64,
    },
    /// Too many offsets are outstanding.
    #[error("partition {partition} has {ceiling} offsets outstanding and takes no more")]
    Full {
        /// The partition.
        partition: u32,
        /// How many may be outstanding.
        ceiling: NonZeroUsize,
    },
}

#[derive(Clone, Debug)]
struct Partition {
    /// Of the assignment, or of the last one when `held` is none.
    generation: u64,
    held: Option<Window>,
}

/// The offsets beyond the last commit; the first is never settled.
#[derive(Clone, Debug, Default)]
struct Window {
    offsets: VecDeque<Emitted>,
    /// From the first offset emitted under this assignment to the last commit.
    done: Range<u64>,
    last: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Emitted {
    offset: u64,
    at: Duration,
    settled: bool,
}

// === impl Watermarks ===

impl Watermarks {
    /// Tracks no partition yet; `ceiling` is the most offsets of each that may
    /// be emitted beyond its last commit.
    pub fn new(ceiling: NonZeroUsize) -> Self {
        Self {
            ceiling,
            partitions: BTreeMap::new(),
        }
    }

    /// Begins an assignment of the partition and ends the one before.
    ///
    /// Naming the present generation again changes nothing.
    ///
    /// # Errors
    /// Refuses a generation that is over, [`WatermarkError::Stale`].
    pub fn assign(&mut self, partition: u32, generation: u64) -> Result<(), WatermarkError> {
        match self.partitions.get(&partition) {
            Some(known) if known.held.is_some() && known.generation == generation => Ok(()),
            Some(known) if known.generation >= generation => Err(WatermarkError::Stale {
                partition,
                generation,
                last: known.generation,
            }),
            _ => {
                let held = Some(Window::default());
                self.partitions
                    .insert(partition, Partition { generation, held });
                Ok(())
            }
        }
    }

    /// Ends the assignment of the partition: whatever settles later is stale.
    pub fn revoke(&mut self, partition: u32) {
        if let Some(known) = self.partitions.get_mut(&partition) {
            known.held = None;
        }
    }

    /// Takes note of an offset that was handed out `at` that time.
    ///
    /// Offsets ascend, and may leave gaps.
    ///
    /// # Errors
    /// Changes nothing and says why when the assignment is over or was never
    /// made, when the offset does not ascend, and at the ceiling.
    pub fn emitted(
        &mut self,
        partition: u32,
        generation: u64,
        offset: u64,
        at: Duration,
    ) -> Result<(), WatermarkError> {
        let ceiling = self.ceiling;
        let window = self.window(partition, generation)?;
        if let Some(last) = window.last.filter(|last| offset <= *last) {
            return Err(WatermarkError::NotAscending {
                partition,
                offset,
                last,
            });
        }
        if window.offsets.len() >= ceiling.get() {
            return Err(WatermarkError::Full { partition, ceiling });
        }
        window.emit(offset, at);
        Ok(())
    }

    /// Settles an offset and says how far the partition may commit now.
    ///
    /// An offset below the last commit is [`Progress::Duplicate`] even if it
    /// was a gap.
    pub fn settled(&mut self, partition: u32, generation: u64, offset: u64) -> Progress {
        match self.window(partition, generation) {
            Ok(window) => window.settle(offset),
            Err(WatermarkError::Stale { .. }) => Progress::Stale,
            Err(_) => Progress::Unknown,
        }
    }

    /// Returns how many offsets of the partition may be emitted now: none if it
    /// is not assigned.
    pub fn room(&self, partition: u32) -> usize {
        self.held(partition)
            .map_or(0, |window| self.ceiling.get() - window.offsets.len())
    }

    /// Returns how many offsets are emitted beyond the last commit, settled
    /// ones that wait included; none if the partition is not assigned.
    pub fn outstanding(&self, partition: u32) -> usize {
        self.held(partition)
            .map_or(0, |window| window.offsets.len())
    }

    /// Returns the offset that holds the partition back and the time it was
    /// handed out at, `None` when all are settled.
    pub fn oldest(&self, partition: u32) -> Option<(u64, Duration)> {
        let first = self.held(partition)?.offsets.front()?;
        Some((first.offset, first.at))
    }

    fn held(&self, partition: u32) -> Option<&Window> {
        self.partitions.get(&partition)?.held.as_ref()
    }

    fn window(&mut self, partition: u32, generation: u64) -> Result<&mut Window, WatermarkError> {
        let unassigned = WatermarkError::NotAssigned {
            partition,
            generation,
        };
        let known = self.partitions.get_mut(&partition).ok_or(unassigned)?;
        let last = known.generation;
        match &mut known.held {
            _ if generation > last => Err(unassigned),
            Some(window) if generation == last => Ok(window),
            _ => Err(WatermarkError::Stale {
                partition,
                generation,
                last,
            }),
        }
    }
}

impl Default for Watermarks {
    fn default() -> Self {
        Self::new(CEILING)
    }
}

// === impl Window ===

impl Window {
    fn emit(&mut self, offset: u64, at: Duration) {
        if self.last.replace(offset).is_none() {
            self.done = offset..offset;
        }
        self.offsets.push_back(Emitted {
            offset,
            at,
            settled: false,
        });
    }

    fn settle(&mut self, offset: u64) -> Progress {
        match self.find(offset).map(|at| &mut self.offsets[at].settled) {
            Some(settled @ false) => *settled = true,
            Some(true) => return Progress::Duplicate,
            None if self.done.contains(&offset) => return Progress::Duplicate,
            None => return Progress::Unknown,
        }
        self.advance()
            .map_or(Progress::Waiting, |commit| Progress::Advanced { commit })
    }

    /// Without gaps the distance from the first offset is the place; with gaps
    /// the place lies before that.
    fn find(&self, offset: u64) -> Option<usize> {
        let first = self.offsets.front()?.offset;
        let distance = usize::try_from(offset.checked_sub(first)?).unwrap_or(usize::MAX);
        if self
            .offsets
            .get(distance)
            .is_some_and(|entry| entry.offset == offset)
        {
            return Some(distance);
        }
        self.offsets
            .binary_search_by_key(&offset, |entry| entry.offset)
            .ok()
    }

    /// Lets go of everything settled up to the first that is not.
    fn advance(&mut self) -> Option<u64> {
        let mut commit = None;
        while self.offsets.front().is_some_and(|first| first.settled) {
            let first = self.offsets.pop_front()?;
            self.done.end = first.offset.saturating_add(1);
            commit = Some(self.done.end);
        }
        commit
    }
}
