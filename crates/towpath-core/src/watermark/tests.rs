//! The low-water mark, one behaviour a test, and against a naive model.

mod model;

use std::{num::NonZeroUsize, time::Duration};

use super::{Progress, WatermarkError, Watermarks};

const NOW: Duration = Duration::from_secs(7);

fn ceiling(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap()
}

/// Partition 0 is assigned under generation 1 and has handed these out.
fn emitted(offsets: impl IntoIterator<Item = u64>) -> Watermarks {
    let mut marks = Watermarks::default();
    marks.assign(0, 1).unwrap();
    for offset in offsets {
        marks.emitted(0, 1, offset, NOW).unwrap();
    }
    marks
}

fn advanced(commit: u64) -> Progress {
    Progress::Advanced { commit }
}

#[test]
fn the_mark_follows_offsets_that_settle_in_order() {
    let mut marks = emitted(10..13);
    for offset in 10..13 {
        assert_eq!(marks.settled(0, 1, offset), advanced(offset + 1));
    }
    assert_eq!((marks.outstanding(0), marks.oldest(0)), (0, None));
}

#[test]
fn the_mark_waits_for_the_oldest_and_then_jumps_over_all_that_waited() {
    let mut marks = emitted(10..15);
    for offset in [14, 11, 12] {
        assert_eq!(marks.settled(0, 1, offset), Progress::Waiting);
    }
    assert_eq!(marks.settled(0, 1, 10), advanced(13));
    assert_eq!(marks.settled(0, 1, 13), advanced(15));
}

#[test]
fn gaps_in_the_offsets_hold_nothing_back() {
    let mut marks = emitted([5, 9, 1000, 1_000_000]);
    assert_eq!(marks.settled(0, 1, 1000), Progress::Waiting);
    assert_eq!(marks.settled(0, 1, 5), advanced(6));
    assert_eq!(marks.settled(0, 1, 9), advanced(1001));
    assert_eq!(marks.settled(0, 1, 1_000_000), advanced(1_000_001));
}

#[test]
fn an_offset_that_settles_twice_is_told_as_duplicate_and_moves_nothing() {
    let mut marks = emitted(1..4);
    assert_eq!(marks.settled(0, 1, 2), Progress::Waiting);
    assert_eq!(marks.settled(0, 1, 2), Progress::Duplicate);
    assert_eq!(marks.settled(0, 1, 1), advanced(3));
    assert_eq!(marks.settled(0, 1, 1), Progress::Duplicate);
    assert_eq!(marks.settled(0, 1, 3), advanced(4));
    assert_eq!(marks.settled(0, 1, 3), Progress::Duplicate);
}

#[test]
fn an_offset_that_was_never_emitted_is_unknown() {
    let mut marks = emitted([5, 9]);
    for offset in [0, 4, 7, 10, u64::MAX] {
        assert_eq!(
            marks.settled(0, 1, offset),
            Progress::Unknown,
            "offset {offset}"
        );
    }
    assert_eq!(marks.outstanding(0), 2);
}

#[test]
fn an_offset_that_does_not_ascend_is_refused_and_the_partition_goes_on() {
    let mut marks = emitted([5, 6]);
    for offset in [6, 5, 0] {
        let refused = WatermarkError::NotAscending {
            partition: 0,
            offset,
            last: 6,
        };
        assert_eq!(marks.emitted(0, 1, offset, NOW), Err(refused));
    }
    assert_eq!(marks.settled(0, 1, 5), advanced(6));
    assert_eq!(marks.settled(0, 1, 6), advanced(7));
    let refused = WatermarkError::NotAscending {
        partition: 0,
        offset: 6,
        last: 6,
    };
    assert_eq!(marks.emitted(0, 1, 6, NOW), Err(refused));
    marks.emitted(0, 1, 7, NOW).unwrap();
    assert_eq!(marks.settled(0, 1, 7), advanced(8));
}

#[test]
fn the_ceiling_counts_settled_offsets_that_wait_behind_an_older_one() {
    let mut marks = Watermarks::new(ceiling(3));
    marks.assign(0, 1).unwrap();
    for offset in 1..=3 {
        assert_eq!(marks.room(0), 4 - usize::try_from(offset).unwrap());
        marks.emitted(0, 1, offset, NOW).unwrap();
    }
    let full = Err(WatermarkError::Full {
        partition: 0,
        ceiling: ceiling(3),
    });
    assert_eq!(marks.settled(0, 1, 2), Progress::Waiting);
    assert_eq!((marks.room(0), marks.emitted(0, 1, 4, NOW)), (0, full));
    assert_eq!(marks.settled(0, 1, 1), advanced(3));
    assert_eq!((marks.room(0), marks.emitted(0, 1, 4, NOW)), (2, Ok(())));
}

#[test]
fn the_oldest_unsettled_offset_is_told_with_the_time_it_was_emitted_at() {
    let mut marks = emitted([]);
    for offset in 1..=3 {
        marks
            .emitted(0, 1, offset, Duration::from_secs(offset))
            .unwrap();
    }
    assert_eq!(marks.settled(0, 1, 2), Progress::Waiting);
    assert_eq!(marks.oldest(0), Some((1, Duration::from_secs(1))));
    assert_eq!(marks.settled(0, 1, 1), advanced(3));
    assert_eq!(marks.oldest(0), Some((3, Duration::from_secs(3))));
}

#[test]
fn what_settles_after_a_revocation_is_stale() {
    let mut marks = emitted([1, 2]);
    marks.revoke(0);
    assert_eq!(marks.settled(0, 1, 1), Progress::Stale);
    assert_eq!(
        (marks.room(0), marks.outstanding(0), marks.oldest(0)),
        (0, 0, None)
    );
    let stale = WatermarkError::Stale {
        partition: 0,
        generation: 1,
        last: 1,
    };
    assert_eq!(marks.emitted(0, 1, 3, NOW), Err(stale));
}

#[test]
fn a_late_settlement_does_not_move_the_mark_of_the_next_assignment() {
    let mut marks = emitted([1, 2]);
    marks.revoke(0);
    marks.assign(0, 2).unwrap();
    marks.emitted(0, 2, 1, NOW).unwrap();
    assert_eq!(marks.settled(0, 1, 1), Progress::Stale);
    assert_eq!(marks.outstanding(0), 1);
    assert_eq!(marks.settled(0, 2, 1), advanced(2));
}

#[test]
fn a_new_assignment_may_start_at_an_earlier_offset() {
    let mut marks = emitted([100, 101]);
    marks.assign(0, 2).unwrap();
    marks.emitted(0, 2, 50, NOW).unwrap();
    assert_eq!(marks.settled(0, 2, 50), advanced(51));
}

#[test]
fn the_same_assignment_named_again_forgets_nothing() {
    let mut marks = emitted([1]);
    marks.assign(0, 1).unwrap();
    assert_eq!(marks.settled(0, 1, 1), advanced(2));
}

#[test]
fn a_generation_that_is_over_cannot_be_assigned_again() {
    let mut marks = Watermarks::default();
    marks.assign(0, 5).unwrap();
    let stale = |generation| {
        Err(WatermarkError::Stale {
            partition: 0,
            generation,
            last: 5,
        })
    };
    assert_eq!(marks.assign(0, 4), stale(4));
    marks.revoke(0);
    assert_eq!(marks.assign(0, 5), stale(5));
    assert_eq!(marks.assign(0, 6), Ok(()));
}

#[test]
fn a_partition_or_generation_that_was_never_assigned_is_unknown() {
    let mut marks = emitted([1]);
    marks.revoke(9);
    for (partition, generation) in [(9, 1), (0, 2)] {
        let refused = WatermarkError::NotAssigned {
            partition,
            generation,
        };
        assert_eq!(marks.emitted(partition, generation, 2, NOW), Err(refused));
        assert_eq!(marks.settled(partition, generation, 1), Progress::Unknown);
    }
    assert_eq!(
        (marks.room(9), marks.outstanding(9), marks.oldest(9)),
        (0, 0, None)
    );
}

#[test]
fn partitions_do_not_hold_each_other_back() {
    let mut marks = emitted([1]);
    marks.assign(7, 1).unwrap();
    marks.emitted(7, 1, 100, NOW).unwrap();
    assert_eq!(marks.settled(7, 1, 100), advanced(101));
    marks.revoke(7);
    assert_eq!(marks.settled(0, 1, 1), advanced(2));
}

#[test]
fn the_highest_offset_of_all_can_be_settled() {
    let mut marks = emitted([u64::MAX]);
    assert_eq!(marks.settled(0, 1, u64::MAX), advanced(u64::MAX));
}
