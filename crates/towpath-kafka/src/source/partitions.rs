//! Which partitions are held, under which assignment, and how much of them is in flight.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{
            AtomicUsize,
            Ordering::{AcqRel, Acquire, Relaxed},
        },
    },
};

use super::MAX_TOPICS;

/// How many bits of a number are the partition; those above are the topic's place.
const PARTITION_BITS: u32 = 20;

const _: () = assert!(MAX_TOPICS == 1 << (u32::BITS - PARTITION_BITS));

/// One number for a partition of one of several topics: the place of the topic among the
/// options, and the partition. Of the first topic it is the partition itself.
pub(super) fn number(topic: usize, partition: i32) -> Option<u32> {
    let partition = u32::try_from(partition).ok()?;
    let topic = u32::try_from(topic).ok().filter(|_| topic < MAX_TOPICS)?;
    (partition < 1 << PARTITION_BITS).then_some(topic << PARTITION_BITS | partition)
}

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
}

/// The partitions that are held now, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Partitions {
    held: BTreeMap<u32, Held>,
    /// The last one given, over all partitions.
    generation: u64,
}

/// A partition that is held.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) place: Place,
    pub(super) generation: u64,
    /// The offset after the last one that was handed out.
    pub(super) next: Option<u64>,
    /// It goes to another member: nothing more of it is handed out.
    revoking: bool,
    in_flight: Arc<AtomicUsize>,
}

/// Counts messages as in flight until it is dropped.
#[derive(Debug)]
pub(super) struct InFlight {
    held: Arc<AtomicUsize>,
    count: usize,
}

// === impl Partitions ===

impl Partitions {
    /// Begins an assignment; returns its generation.
    pub(super) fn assign(&mut self, number: u32, place: Place) -> u64 {
        self.generation += 1;
        let held = Held {
            place,
            generation: self.generation,
            next: None,
            revoking: false,
            in_flight: Arc::default(),
        };
        self.held.insert(number, held);
        self.generation
    }

    /// The offsets of a partition began anew: what is in flight of it is of the past.
    pub(super) fn begin_anew(&mut self, number: u32) -> Option<u64> {
        let place = self.held.get(&number)?.place.clone();
        Some(self.assign(number, place))
    }

    pub(super) fn get(&self, number: u32) -> Option<&Held> {
        self.held.get(&number)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Held)> {
        self.held.iter().map(|(number, held)| (*number, held))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether an assignment goes on, and will for a while.
    pub(super) fn keeps(&self, number: u32, generation: u64) -> bool {
        let held = self.held.get(&number);
        held.is_some_and(|held| held.generation == generation && !held.revoking)
    }

    /// Whether an assignment goes on.
    pub(super) fn holds(&self, number: u32, generation: u64) -> bool {
        let held = self.held.get(&number);
        held.is_some_and(|held| held.generation == generation)
    }

    /// Counts so many messages that were handed out, the last of them with this offset.
    pub(super) fn hand_out(&mut self, number: u32, count: usize, last: u64) -> Option<InFlight> {
        let held = self.held.get_mut(&number)?;
        held.next = Some(last.saturating_add(1));
        Some(InFlight::new(&held.in_flight, count))
    }

    /// Counts a message that is handed out again, if its assignment goes on.
    pub(super) fn hand_out_again(&self, number: u32, generation: u64) -> Option<InFlight> {
        let held = self.held.get(&number)?;
        let goes_on = held.generation == generation && !held.revoking;
        goes_on.then(|| InFlight::new(&held.in_flight, 1))
    }

    /// Nothing more of these is handed out.
    pub(super) fn begin_revoke(&mut self, numbers: &[u32]) {
        for number in numbers {
            if let Some(held) = self.held.get_mut(number) {
                held.revoking = true;
            }
        }
    }

    pub(super) fn is_revoking(&self) -> bool {
        self.held.values().any(|held| held.revoking)
    }

    /// How many messages of these have no outcome that the group knows.
    pub(super) fn in_flight(&self, numbers: &[u32]) -> usize {
        let held = numbers.iter().filter_map(|number| self.held.get(number));
        held.map(|held| held.in_flight.load(Acquire)).sum()
    }

    /// Ends an assignment.
    pub(super) fn end(&mut self, number: u32) {
        self.held.remove(&number);
    }
}

// === impl InFlight ===

impl InFlight {
    fn new(held: &Arc<AtomicUsize>, count: usize) -> Self {
        held.fetch_add(count, Relaxed);
        let held = held.clone();
        Self { held, count }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.held.fetch_sub(self.count, AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(partition: i32) -> Place {
        Place {
            topic: "orders".into(),
            partition,
        }
    }

    #[test]
    fn partitions_of_the_first_topic_keep_their_numbers_and_no_two_share_one() {
        assert_eq!(number(0, 7), Some(7));
        assert_eq!(number(1, 7), Some((1 << 20) + 7));
        assert_eq!(number(4095, 0), Some(4095 << 20));
        assert_eq!(number(4096, 0), None);
        assert_eq!(number(0, 1 << 20), None);
        assert_eq!(number(0, -1), None);
    }

    #[test]
    fn each_assignment_has_a_generation_above_all_others() {
        let mut partitions = Partitions::default();
        let first = partitions.assign(0, place(0));
        let other = partitions.assign(1, place(1));
        partitions.end(0);
        assert!(!partitions.holds(0, first));
        let again = partitions.assign(0, place(0));
        assert!(first < other && other < again);
        let anew = partitions.begin_anew(0).unwrap();
        assert!(partitions.holds(0, anew) && !partitions.holds(0, again));
        assert_eq!(partitions.begin_anew(9), None);
    }

    #[test]
    fn what_is_in_flight_counts_until_it_is_dropped_also_where_nobody_settles_it() {
        let mut partitions = Partitions::default();
        let generation = partitions.assign(0, place(0));
        let two = partitions.hand_out(0, 2, 5).unwrap();
        let again = partitions.hand_out_again(0, generation).unwrap();
        assert_eq!(partitions.in_flight(&[0, 3]), 3);
        drop(two);
        assert_eq!(partitions.in_flight(&[0, 3]), 1);
        drop(again);
        assert_eq!(partitions.in_flight(&[0]), 0);
        assert_eq!(partitions.get(0).unwrap().next, Some(6));
    }

    #[test]
    fn a_partition_that_goes_away_hands_out_nothing_again() {
        let mut partitions = Partitions::default();
        let generation = partitions.assign(0, place(0));
        partitions.begin_revoke(&[0, 1]);
        assert!(partitions.is_revoking());
        assert!(partitions.hand_out_again(0, generation).is_none());
        assert!(partitions.holds(0, generation) && !partitions.keeps(0, generation));
    }
}
