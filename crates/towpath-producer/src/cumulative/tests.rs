//! How far a source is told that everything is settled.

use std::sync::{Arc, Mutex};

use towpath_core::{
    Acknowledger, BoxError, Cause, Outcome, Reason, Settled, watermark::WatermarkError,
};

use super::{Commit, Committer, Cumulative, CumulativeToken, Offsets};

/// The commits of one call.
type Call = Vec<(u32, u64)>;

/// Notes each commit as partition and offset; fails as often as it is told to.
#[derive(Clone, Default)]
struct Log {
    calls: Arc<Mutex<Vec<Call>>>,
    failures: Arc<Mutex<usize>>,
}

impl Log {
    fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    fn fail(&self, times: usize) {
        *self.failures.lock().unwrap() = times;
    }
}

impl Committer for Log {
    async fn commit(&mut self, commits: &[Commit]) -> Result<(), BoxError> {
        let mut left = self.failures.lock().unwrap();
        if *left > 0 {
            *left -= 1;
            return Err("the log is away".into());
        }
        let call = commits.iter().map(|c| (c.partition, c.offset)).collect();
        self.calls.lock().unwrap().push(call);
        Ok(())
    }
}

fn fixture(partitions: u32) -> (Offsets, Cumulative<Log>, Log) {
    let offsets = Offsets::default();
    for partition in 0..partitions {
        offsets.assign(partition, 1).unwrap();
    }
    let log = Log::default();
    let cumulative = offsets.acknowledger(log.clone());
    (offsets, cumulative, log)
}

fn tokens<const N: usize>(offsets: &Offsets, numbers: [u64; N]) -> [CumulativeToken; N] {
    numbers.map(|n| offsets.hand_out(0, n).unwrap())
}

async fn tell(
    cumulative: &mut Cumulative<Log>,
    outcomes: impl IntoIterator<Item = (CumulativeToken, Outcome)>,
) -> Settled {
    let mut run = outcomes.into_iter().collect();
    let settled = cumulative.settle(&mut run).await.unwrap();
    assert!(run.is_empty(), "{} outcomes were left", run.len());
    settled
}

#[tokio::test]
async fn a_commit_follows_the_oldest_message_without_an_outcome() {
    let (offsets, mut cumulative, log) = fixture(1);
    let [five, six, nine] = tokens(&offsets, [5, 6, 9]);
    assert_eq!(
        tell(&mut cumulative, [(nine, Outcome::Done)]).await,
        Settled::sent(1)
    );
    assert_eq!(log.calls(), Vec::<Vec<_>>::new());
    assert_eq!(
        tell(&mut cumulative, [(five, Outcome::Done)]).await,
        Settled::confirmed(1)
    );
    assert_eq!(
        tell(&mut cumulative, [(six, Outcome::Done)]).await,
        Settled::confirmed(1)
    );
    assert_eq!(log.calls(), [[(0, 6)], [(0, 10)]]);
}

#[tokio::test]
async fn what_is_rejected_or_dropped_is_committed_over_and_what_is_given_back_never_is() {
    let (offsets, mut cumulative, log) = fixture(1);
    let [zero, one, two, three] = tokens(&offsets, [0, 1, 2, 3]);
    let outcomes = [
        (three, Outcome::Done),
        (two, Outcome::retry()),
        (one, Outcome::Drop(Reason::new("old"))),
        (
            zero,
            Outcome::Reject(Cause::new("decode".into(), "no text")),
        ),
    ];
    let settled = tell(&mut cumulative, outcomes).await;
    assert_eq!(settled, Settled::confirmed(2).and(Settled::sent(2)));
    assert_eq!(log.calls(), [[(0, 2)]]);
    assert_eq!(offsets.oldest(0).map(|(offset, _)| offset), Some(2));
}

#[tokio::test]
async fn one_call_commits_each_partition_once() {
    let (offsets, mut cumulative, log) = fixture(2);
    let hand_out =
        |(partition, offset)| (offsets.hand_out(partition, offset).unwrap(), Outcome::Done);
    let run = [(0, 0), (1, 7), (0, 1), (1, 8)].map(hand_out);
    assert_eq!(tell(&mut cumulative, run).await, Settled::confirmed(4));
    assert_eq!(log.calls(), [[(0, 2), (1, 9)]]);
}

#[tokio::test]
async fn a_commit_that_failed_is_tried_again_with_the_same_outcomes() {
    let (offsets, mut cumulative, log) = fixture(1);
    let [zero] = tokens(&offsets, [0]);
    let mut run = vec![(zero, Outcome::Done)];
    log.fail(1);
    assert!(cumulative.settle(&mut run).await.is_err());
    assert_eq!(
        run.len(),
        1,
        "the outcome was taken although it is not told"
    );
    assert_eq!(
        cumulative.settle(&mut run).await.unwrap(),
        Settled::confirmed(1)
    );
    assert_eq!(log.calls(), [[(0, 1)]]);
}

#[tokio::test]
async fn a_commit_that_was_given_up_goes_with_the_next_outcomes() {
    let (offsets, mut cumulative, log) = fixture(1);
    let [zero, one, two] = tokens(&offsets, [0, 1, 2]);
    log.fail(1);
    assert!(
        cumulative
            .settle(&mut vec![(zero, Outcome::Done)])
            .await
            .is_err()
    );
    tell(&mut cumulative, [(two, Outcome::Done)]).await;
    assert_eq!(log.calls(), [[(0, 1)]]);
    tell(&mut cumulative, [(one, Outcome::Done)]).await;
    assert_eq!(log.calls(), [[(0, 1)], [(0, 3)]]);
}

#[tokio::test]
async fn outcomes_of_an_assignment_that_is_over_are_late_and_commit_nothing() {
    let (offsets, mut cumulative, log) = fixture(1);
    let [zero, one] = tokens(&offsets, [0, 1]);
    offsets.revoke(0);
    assert_eq!(
        tell(&mut cumulative, [(zero, Outcome::Done)]).await,
        Settled::stale(1)
    );
    offsets.assign(0, 2).unwrap();
    let [again] = tokens(&offsets, [0]);
    assert_eq!(
        tell(&mut cumulative, [(one, Outcome::Done)]).await,
        Settled::stale(1)
    );
    assert_eq!(log.calls(), Vec::<Vec<_>>::new());
    assert_eq!(
        tell(&mut cumulative, [(again, Outcome::Done)]).await,
        Settled::confirmed(1)
    );
    assert_eq!(log.calls(), [[(0, 1)]]);
}

#[tokio::test]
async fn a_failed_commit_of_an_assignment_that_is_over_is_not_tried_again() {
    let (offsets, mut cumulative, log) = fixture(1);
    let [zero] = tokens(&offsets, [0]);
    let mut run = vec![(zero, Outcome::Done)];
    log.fail(1);
    assert!(cumulative.settle(&mut run).await.is_err());
    offsets.revoke(0);
    assert_eq!(
        cumulative.settle(&mut run).await.unwrap(),
        Settled::stale(1)
    );
    assert_eq!(log.calls(), Vec::<Vec<_>>::new());
}

#[test]
fn no_more_is_handed_out_than_the_ceiling_beyond_the_last_commit() {
    let offsets = Offsets::new(2.try_into().unwrap());
    offsets.assign(0, 1).unwrap();
    let held = [0, 1].map(|n| offsets.hand_out(0, n));
    assert!(held.iter().all(Result::is_ok));
    assert_eq!(offsets.room(0), 0);
    assert!(matches!(
        offsets.hand_out(0, 2),
        Err(WatermarkError::Full { .. })
    ));
    assert!(matches!(
        offsets.hand_out(1, 0),
        Err(WatermarkError::NotAssigned { .. })
    ));
}

#[test]
fn a_token_says_where_its_message_is_and_under_which_assignment() {
    let offsets = Offsets::default();
    offsets.assign(3, 7).unwrap();
    let token = offsets.hand_out(3, 12).unwrap();
    let said = (token.partition(), token.generation(), token.offset());
    assert_eq!(said, (3, 7, 12));
}

#[tokio::test]
async fn offsets_that_are_handed_out_together_are_so_up_to_the_first_that_is_refused() {
    let (offsets, mut cumulative, log) = fixture(1);
    let mut handed = Vec::new();
    let refused = offsets.hand_out_all(0, &[3, 5, 4, 6], &mut handed);
    let not_ascending = WatermarkError::NotAscending {
        partition: 0,
        offset: 4,
        last: 5,
    };
    assert_eq!(refused, Err(not_ascending));
    let done = handed.into_iter().map(|token| (token, Outcome::Done));
    assert_eq!(tell(&mut cumulative, done).await, Settled::confirmed(2));
    assert_eq!(log.calls(), [[(0, 6)]]);
    assert!(offsets.hand_out_all(7, &[0], &mut Vec::new()).is_err());
}
