//! What the client's figures say: lag, and brokers.

use rdkafka::{Statistics, statistics::Partition};

use super::{
    partitions::{Held, Partitions},
    trouble::count_up,
};
use crate::options::Start;

/// How many messages wait in the partitions that are held; `None` where nobody knows.
pub(super) fn lag(figures: &Statistics, held: &Partitions, start: Start) -> Option<u64> {
    if held.is_empty() {
        return Some(0);
    }
    let mut known = held.iter().filter_map(|(_, held)| {
        let topic = figures.topics.get(&*held.place.topic)?;
        behind(topic.partitions.get(&held.place.partition)?, held, start)
    });
    let first = known.next()?;
    Some(known.fold(first, u64::saturating_add))
}

/// How far a partition is behind its end.
fn behind(figures: &Partition, held: &Held, start: Start) -> Option<u64> {
    let known = |offset: i64| u64::try_from(offset).ok();
    // The last stable offset is what a reader of committed messages can come to.
    let end = known(figures.ls_offset).or(known(figures.hi_offset))?;
    let begin = match start {
        Start::Earliest => known(figures.lo_offset),
        Start::Latest | Start::Fail => None,
    };
    let position = held.next.or(known(figures.committed_offset)).or(begin);
    Some(position.map_or(0, |position| end.saturating_sub(position)))
}

/// How many brokers are connected.
pub(super) fn brokers_up(figures: &Statistics) -> usize {
    let brokers = figures.brokers.values();
    count_up(brokers.map(|broker| (broker.name.as_str(), broker.state.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::partitions::Place;

    fn figures(offsets: &[(i32, [i64; 4])]) -> Statistics {
        let mut figures = Statistics::default();
        let topic = figures.topics.entry("orders".to_owned()).or_default();
        for (partition, [lo, ls, hi, committed]) in offsets {
            let known = Partition {
                lo_offset: *lo,
                ls_offset: *ls,
                hi_offset: *hi,
                committed_offset: *committed,
                ..Partition::default()
            };
            topic.partitions.insert(*partition, known);
        }
        figures
    }

    fn held(partitions: &[i32]) -> Partitions {
        let mut held = Partitions::default();
        for partition in partitions {
            let number = u32::try_from(*partition).unwrap();
            let topic = "orders".into();
            let partition = *partition;
            held.assign(number, Place { topic, partition });
        }
        held
    }

    const UNKNOWN: i64 = -1001;

    #[test]
    fn lag_is_what_is_between_the_position_and_the_end_of_the_partitions_that_are_held() {
        let figures = figures(&[
            (0, [0, 100, 120, 10]),
            (1, [0, UNKNOWN, 50, 45]),
            (2, [5, UNKNOWN, 25, UNKNOWN]),
            (3, [0, 1000, 1000, 0]),
        ]);
        let mut held = held(&[0, 1, 2]);
        drop(held.hand_out(0, 1, 29));
        assert_eq!(lag(&figures, &held, Start::Earliest), Some(70 + 5 + 20));
        assert_eq!(lag(&figures, &held, Start::Latest), Some(70 + 5));
    }

    #[test]
    fn lag_is_unknown_until_the_client_has_seen_an_end_and_none_where_nothing_is_held() {
        let figures = figures(&[(0, [UNKNOWN; 4])]);
        assert_eq!(lag(&figures, &held(&[0, 9]), Start::Earliest), None);
        assert_eq!(lag(&figures, &held(&[]), Start::Earliest), Some(0));
    }
}
