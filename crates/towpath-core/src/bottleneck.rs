//! Which stage holds the others back.

use crate::{QueueStatus, StageName};

/// A stage whose slots were busy for this part of the time is busy.
const BUSY: f64 = 0.9;

/// What is known of a stage when somebody asks for the bottleneck.
#[derive(Clone, Debug)]
pub struct Load {
    /// The stage.
    pub name: StageName,
    /// The part of its slots that were busy in the last while, 0 to 1; `None` where that says
    /// nothing: it is not timed, or what it waits for holds no slot, like a rate limit.
    pub utilisation: Option<f64>,
    /// The link in front of it.
    pub queue: Option<QueueStatus>,
    /// The stages right behind it, by their places.
    pub behind: Vec<usize>,
}

/// The stage that holds the others back: the furthest downstream that is busy while its queue
/// is at least half full, and the queues behind it are not.
///
/// `stages` are in the order of the topology; `None` where no stage is it, as in a pipeline
/// that waits for its source.
pub fn bottleneck(stages: &[Load]) -> Option<&StageName> {
    let is_full = |place: usize| stages.get(place).is_some_and(Load::is_full);
    let holds_back = |stage: &&Load| {
        stage.is_full() && stage.is_busy() && !stage.behind.iter().any(|&next| is_full(next))
    };
    stages
        .iter()
        .rev()
        .find(holds_back)
        .map(|stage| &stage.name)
}

impl Load {
    fn is_busy(&self) -> bool {
        self.utilisation.is_none_or(|busy| busy >= BUSY)
    }

    fn is_full(&self) -> bool {
        self.queue.is_some_and(|queue| queue.is_half_full())
    }
}

impl QueueStatus {
    /// Whether half of it or more is taken: by items, or by chunks that hold a few each.
    pub fn is_half_full(&self) -> bool {
        let half = self.capacity.div_ceil(2);
        self.depth > 0 && (self.depth >= half || self.demand <= self.capacity - half)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: (u64, u64) = (8, 0);
    const EMPTY: (u64, u64) = (0, 8);

    /// A chain of stages, each with its utilisation and its queue's depth and demand.
    fn chain(stages: &[(Option<f64>, (u64, u64))]) -> Vec<Load> {
        let load = |(place, &(utilisation, (depth, demand))): (usize, &(_, _))| Load {
            name: format!("stage {place}").into(),
            utilisation,
            queue: Some(QueueStatus {
                depth,
                capacity: 8,
                demand,
            }),
            behind: vec![place + 1],
        };
        stages.iter().enumerate().map(load).collect()
    }

    fn named(stages: &[Load]) -> Option<&str> {
        bottleneck(stages).map(StageName::as_str)
    }

    #[test]
    fn a_busy_stage_between_a_full_queue_and_an_empty_one_is_it() {
        let stages = chain(&[(Some(1.0), FULL), (Some(0.95), FULL), (Some(0.1), EMPTY)]);
        assert_eq!(named(&stages), Some("stage 1"));
    }

    #[test]
    fn a_stage_that_waits_for_the_one_behind_it_is_not() {
        let stages = chain(&[(Some(1.0), FULL), (Some(1.0), FULL), (Some(1.0), FULL)]);
        assert_eq!(named(&stages), Some("stage 2"));
    }

    #[test]
    fn an_idle_pipeline_has_none() {
        assert_eq!(named(&chain(&[(Some(0.0), EMPTY), (None, EMPTY)])), None);
        assert_eq!(named(&[]), None);
    }

    #[test]
    fn a_full_queue_alone_makes_none_of_a_stage_that_is_timed_and_idle() {
        assert_eq!(
            named(&chain(&[(Some(0.5), FULL), (Some(0.5), EMPTY)])),
            None
        );
    }

    #[test]
    fn without_timing_the_queue_decides() {
        let stages = chain(&[(None, FULL), (None, EMPTY)]);
        assert_eq!(named(&stages), Some("stage 0"));
    }

    #[test]
    fn of_two_in_different_branches_it_is_the_later() {
        let mut stages = chain(&[(Some(1.0), FULL), (Some(1.0), FULL), (Some(1.0), FULL)]);
        stages[0].behind = vec![1, 2];
        stages[1].behind.clear();
        stages[2].behind.clear();
        assert_eq!(named(&stages), Some("stage 2"));
    }

    #[test]
    fn chunks_that_hold_a_few_items_each_fill_a_queue_too() {
        let queue = |depth, demand| QueueStatus {
            depth,
            capacity: 256,
            demand,
        };
        assert!(queue(3, 64).is_half_full());
        assert!(queue(128, 128).is_half_full());
        assert!(!queue(3, 192).is_half_full());
        assert!(!queue(0, 0).is_half_full());
        assert!(!QueueStatus::default().is_half_full());
    }
}
