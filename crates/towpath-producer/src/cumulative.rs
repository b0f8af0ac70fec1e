//! Settles a source up to a position: only contiguous prefixes are ever committed.
//!
//! A producer hands out its offsets through [`Offsets`] and gives the [`Cumulative`] that
//! it gets from it to the engine. Outcomes come in any order; what is committed never
//! passes the oldest message without a final outcome.
//!
//! ```
//! use towpath_core::BoxError;
//! use towpath_producer::cumulative::{Commit, Committer, Offsets};
//!
//! struct Log;
//!
//! impl Committer for Log {
//!     async fn commit(&mut self, commits: &[Commit]) -> Result<(), BoxError> {
//!         for commit in commits {
//!             println!("{}: next is {}", commit.partition, commit.offset);
//!         }
//!         Ok(())
//!     }
//! }
//!
//! let offsets = Offsets::default();
//! offsets.assign(0, 1)?;
//! let token = offsets.hand_out(0, 5)?; // goes with the message at offset 5
//! let acknowledger = offsets.acknowledger(Log);
//! # drop((token, acknowledger));
//! # Ok::<(), towpath_core::watermark::WatermarkError>(())
//! ```
//!
//! ```text
//! offset     5       6       7
//!          done    retry    done
//!                 ▲
//!                 └ commit 6: a restart repeats 6 and 7
//! ```
//!
//! # Constraints
//! - A message that is given back is never committed over. Its partition stays there
//!   until it is assigned anew; [`Redeliver`](crate::Redeliver) around the source tries
//!   again within the process.
//! - Per partition at most 10 000 offsets are beyond the last commit, unless said
//!   otherwise: [`Offsets::room`] says how many more may be handed out.
//! - A commit that fails is kept and tried again with the next outcomes.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fmt,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use towpath_core::{
    Acknowledger, BoxError, Outcome, Settled,
    watermark::{Progress, WatermarkError, Watermarks},
};

/// What must be told to the source: everything before `offset` is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Commit {
    /// The partition.
    pub partition: u32,
    /// The assignment it belongs to.
    pub generation: u64,
    /// The next offset to read.
    pub offset: u64,
}

/// How a source takes commits.
pub trait Committer: Send + 'static {
    /// Commits at most one position per partition. Positions of a partition only grow.
    ///
    /// # Errors
    /// All of them are tried again with backoff, and then with the next outcomes.
    fn commit(&mut self, commits: &[Commit]) -> impl Future<Output = Result<(), BoxError>> + Send;
}

/// What ties a message to its place, as long as its assignment lasts.
#[derive(Debug)]
pub struct CumulativeToken {
    partition: u32,
    generation: u64,
    offset: u64,
}

/// The offsets that a producer has handed out. Clones share them.
#[derive(Clone)]
pub struct Offsets(Arc<Shared>);

/// Tells a source how far everything is settled.
pub struct Cumulative<C> {
    committer: C,
    offsets: Offsets,
    /// Positions that the source does not know yet, by partition.
    pending: BTreeMap<u32, Commit>,
    commits: Vec<Commit>,
}

struct Shared {
    state: Mutex<State>,
    begun: Instant,
}

struct State {
    marks: Watermarks,
    /// The generation of each partition that is assigned now.
    assigned: BTreeMap<u32, u64>,
}

// === impl CumulativeToken ===

impl CumulativeToken {
    /// The partition.
    pub fn partition(&self) -> u32 {
        self.partition
    }

    /// The assignment under which the message was handed out.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The place in the partition.
    pub fn offset(&self) -> u64 {
        self.offset
    }
}

// === impl Offsets ===

impl Offsets {
    /// At most `ceiling` offsets of each partition are handed out beyond its last commit.
    pub fn new(ceiling: NonZeroUsize) -> Self {
        Self::of(Watermarks::new(ceiling))
    }

    fn of(marks: Watermarks) -> Self {
        let state = State {
            marks,
            assigned: BTreeMap::new(),
        };
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            begun: Instant::now(),
        }))
    }

    /// Begins an assignment of a partition, and ends the one before.
    ///
    /// # Errors
    /// Refuses a generation that is over.
    pub fn assign(&self, partition: u32, generation: u64) -> Result<(), WatermarkError> {
        let mut state = self.lock();
        state.marks.assign(partition, generation)?;
        state.assigned.insert(partition, generation);
        Ok(())
    }

    /// Ends the assignment of a partition: nothing of it is committed any more.
    pub fn revoke(&self, partition: u32) {
        let mut state = self.lock();
        state.marks.revoke(partition);
        state.assigned.remove(&partition);
    }

    /// Takes note of an offset; the token goes with its message.
    ///
    /// # Errors
    /// Fails when the partition is not assigned, the offset does not ascend, and when
    /// there is no [`room`](Self::room).
    pub fn hand_out(&self, partition: u32, offset: u64) -> Result<CumulativeToken, WatermarkError> {
        let at = self.0.begun.elapsed();
        let mut state = self.lock();
        let generation = state.generation(partition)?;
        state.marks.emitted(partition, generation, offset, at)?;
        Ok(CumulativeToken {
            partition,
            generation,
            offset,
        })
    }

    /// Takes note of several offsets at once, and puts a token for each behind `tokens`.
    ///
    /// # Errors
    /// Fails with the first offset that [`hand_out`](Self::hand_out) would refuse: those before
    /// it are handed out, those after it are not.
    pub fn hand_out_all(
        &self,
        partition: u32,
        offsets: &[u64],
        tokens: &mut Vec<CumulativeToken>,
    ) -> Result<(), WatermarkError> {
        let at = self.0.begun.elapsed();
        let mut state = self.lock();
        let generation = state.generation(partition)?;
        for &offset in offsets {
            state.marks.emitted(partition, generation, offset, at)?;
            tokens.push(CumulativeToken {
                partition,
                generation,
                offset,
            });
        }
        Ok(())
    }

    /// How many offsets of a partition may be handed out now.
    pub fn room(&self, partition: u32) -> usize {
        self.lock().marks.room(partition)
    }

    /// The offset that holds a partition back, and for how long it has been out.
    pub fn oldest(&self, partition: u32) -> Option<(u64, Duration)> {
        let (offset, at) = self.lock().marks.oldest(partition)?;
        Some((offset, self.0.begun.elapsed().saturating_sub(at)))
    }

    /// What the engine tells the outcomes; give it out of the producer's `acknowledger`.
    pub fn acknowledger<C: Committer>(&self, committer: C) -> Cumulative<C> {
        Cumulative {
            committer,
            offsets: self.clone(),
            pending: BTreeMap::new(),
            commits: Vec::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Offsets {
    /// With a ceiling of 10 000 per partition.
    fn default() -> Self {
        Self::of(Watermarks::default())
    }
}

// === impl Cumulative ===

impl<C> Cumulative<C> {
    /// Notes the outcomes and what there is to commit after them.
    fn note(&mut self, run: &[(CumulativeToken, Outcome)]) {
        let mut state = self.offsets.lock();
        let finals = run.iter().filter(|(_, outcome)| is_final(outcome));
        for (token, _) in finals {
            let &CumulativeToken {
                partition,
                generation,
                offset,
            } = token;
            let progress = state.marks.settled(partition, generation, offset);
            if let Progress::Advanced { commit: offset } = progress {
                let commit = Commit {
                    partition,
                    generation,
                    offset,
                };
                self.pending.insert(partition, commit);
            }
        }
        // What was not committed before its assignment ended is somebody else's now.
        self.pending
            .retain(|_, commit| state.holds(commit.partition, commit.generation));
        self.commits.clear();
        self.commits.extend(self.pending.values());
    }

    /// What became of each outcome: confirmed if a commit covers it, late if its
    /// assignment is over, and otherwise noted until the prefix before it is whole.
    fn count(&self, run: &[(CumulativeToken, Outcome)]) -> Settled {
        let state = self.offsets.lock();
        run.iter().fold(Settled::default(), |all, (token, _)| {
            all.and(if self.covers(token) {
                Settled::confirmed(1)
            } else if state.holds(token.partition, token.generation) {
                Settled::sent(1)
            } else {
                Settled::stale(1)
            })
        })
    }

    fn covers(&self, token: &CumulativeToken) -> bool {
        self.commits.iter().any(|commit| {
            commit.partition == token.partition
                && commit.generation == token.generation
                && token.offset < commit.offset
        })
    }
}

/// Whether a message with this outcome may be committed over.
fn is_final(outcome: &Outcome) -> bool {
    !matches!(outcome, Outcome::Retry { .. })
}

impl State {
    /// The one under which the partition is assigned now.
    fn generation(&self, partition: u32) -> Result<u64, WatermarkError> {
        let generation = self.assigned.get(&partition).copied();
        generation.ok_or(WatermarkError::NotAssigned {
            partition,
            generation: 0,
        })
    }

    fn holds(&self, partition: u32, generation: u64) -> bool {
        self.assigned.get(&partition) == Some(&generation)
    }
}

impl<C: Committer> Acknowledger for Cumulative<C> {
    type Token = CumulativeToken;

    async fn settle(
        &mut self,
        run: &mut Vec<(CumulativeToken, Outcome)>,
    ) -> Result<Settled, BoxError> {
        self.note(run);
        if !self.commits.is_empty() {
            self.committer.commit(&self.commits).await?;
        }
        let settled = self.count(run);
        self.pending.clear();
        run.clear();
        Ok(settled)
    }
}

impl fmt::Debug for Offsets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offsets")
            .field("assigned", &self.lock().assigned)
            .finish_non_exhaustive()
    }
}

impl<C> fmt::Debug for Cumulative<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cumulative")
            .field("pending", &self.pending)
            .finish_non_exhaustive()
    }
}
