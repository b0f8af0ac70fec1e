//! What a source makes of outcomes and of partitions that move, without a broker.

use std::{sync::Arc, time::Duration};

use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode as Code};
use tokio::{
    sync::mpsc,
    time::{Instant, advance, timeout},
};
use towpath_core::{Acknowledger as _, BoxError, Outcome, Producer as _, Settled};

use super::{
    KafkaAcknowledger, KafkaSource, KafkaToken,
    commits::Job,
    group::Group,
    partitions::Place,
    receiving::{hand_out, take},
    run::{Fetching, Run, Size},
};
use crate::{KafkaHeaders, KafkaSourceOptions, lock::lock};

const EVERY: Duration = Duration::from_millis(100);

/// A source with partitions, and who plays the client's part in its commits.
struct Fixture {
    source: KafkaSource,
    told: KafkaAcknowledger,
    jobs: mpsc::Receiver<Job>,
}

fn place(partition: i32) -> Place {
    let topic = "orders".into();
    Place { topic, partition }
}

fn fixture(partitions: i32) -> Fixture {
    let options = KafkaSourceOptions::new("nowhere:9092", "billing", ["orders"]);
    let mut source = KafkaSource::new(options.commit_every(EVERY)).unwrap();
    let told = source.acknowledger().unwrap();
    let (sender, jobs) = mpsc::channel(1);
    *lock(&source.group.jobs) = Some(sender);
    for partition in 0..partitions {
        assign(&source.group, u32::try_from(partition).unwrap());
    }
    Fixture { source, told, jobs }
}

fn assign(group: &Group, number: u32) {
    let place = place(i32::try_from(number).unwrap());
    let generation = lock(&group.partitions).assign(number, place);
    group.offsets.assign(number, generation).unwrap();
}

impl Fixture {
    fn group(&self) -> &Arc<Group> {
        &self.source.group
    }

    /// Messages as they are handed out that came together.
    fn run(&self, number: u32, offsets: &[u64]) -> Vec<KafkaToken> {
        let place = place(i32::try_from(number).unwrap());
        let (places, counted) = hand_out(self.group(), number, offsets);
        let mut fetched = Fetching::of(&place, number, Size::default(), true);
        for offset in offsets {
            fetched.add(*offset, None, None, None, KafkaHeaders::default());
        }
        let fetched = fetched.finish();
        let run = Arc::new(Run::new(fetched, counted.unwrap()));
        let tokens = places.into_iter().enumerate();
        tokens
            .map(|(index, place)| KafkaToken::new(place, run.clone(), index))
            .collect()
    }

    /// A message that came alone.
    fn token(&self, number: u32, offset: u64) -> KafkaToken {
        self.run(number, &[offset]).remove(0)
    }

    fn tokens<const N: usize>(&self, offsets: [u64; N]) -> [KafkaToken; N] {
        offsets.map(|offset| self.token(0, offset))
    }

    /// Tells outcomes; commits are answered so, and returned as partition and offset.
    async fn tell(
        &mut self,
        run: &mut Vec<(KafkaToken, Outcome)>,
        answer: Result<(), Code>,
    ) -> (Result<Settled, BoxError>, Vec<(u32, u64)>) {
        let mut commits = Vec::new();
        let settling = self.told.settle(run);
        tokio::pin!(settling);
        loop {
            tokio::select! {
                biased;
                settled = &mut settling => return (settled, commits),
                Some(job) = self.jobs.recv() => {
                    commits.extend(job.commits.iter().map(|c| (c.partition, c.offset)));
                    let answer = answer.map_err(ClientError::ConsumerCommit);
                    job.reply.send(answer).unwrap();
                }
            }
        }
    }

    async fn tell_all(
        &mut self,
        outcomes: impl IntoIterator<Item = (KafkaToken, Outcome)>,
    ) -> (Settled, Vec<(u32, u64)>) {
        let mut run = outcomes.into_iter().collect();
        let (settled, commits) = self.tell(&mut run, Ok(())).await;
        assert!(run.is_empty(), "{} outcomes were left", run.len());
        (settled.unwrap(), commits)
    }

    fn in_flight(&self) -> usize {
        lock(&self.group().partitions).in_flight(&[0, 1])
    }

    /// What is delivered again now, as offsets and attempts.
    fn due(&self) -> Vec<(u64, u32)> {
        let mut intake = towpath_core::Intake::new();
        intake.ask(100);
        take(self.group(), &mut intake, &mut 0);
        let (payloads, _tokens, origins) = intake.take(100);
        let offsets: Vec<_> = payloads.map(|record| record.offset).collect();
        let attempts = origins.iter().map(|origin| origin.attempt);
        offsets.into_iter().zip(attempts).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_follows_the_oldest_message_that_is_not_done() {
    let mut fixture = fixture(1);
    let [five, six, nine] = fixture.tokens([5, 6, 9]);
    let (settled, commits) = fixture.tell_all([(nine, Outcome::Done)]).await;
    assert_eq!((settled, commits), (Settled::sent(1), vec![]));
    let (settled, commits) = fixture.tell_all([(five, Outcome::Done)]).await;
    assert_eq!((settled, commits), (Settled::confirmed(1), vec![(0, 6)]));
    let (settled, commits) = fixture.tell_all([(six, Outcome::Done)]).await;
    assert_eq!((settled, commits), (Settled::confirmed(1), vec![(0, 10)]));
}

#[tokio::test(start_paused = true)]
async fn commits_keep_their_distance_but_not_while_a_partition_goes_away() {
    let mut fixture = fixture(2);
    let begun = Instant::now();
    let [zero, one, two] = fixture.tokens([0, 1, 2]);
    fixture.tell_all([(zero, Outcome::Done)]).await;
    assert_eq!(begun.elapsed(), Duration::ZERO, "the first comes at once");
    fixture.tell_all([(one, Outcome::Done)]).await;
    assert_eq!(begun.elapsed(), EVERY);
    fixture.group().begin_revoke(&[1]);
    fixture.tell_all([(two, Outcome::Done)]).await;
    assert_eq!(begun.elapsed(), EVERY);
}

#[tokio::test(start_paused = true)]
async fn a_commit_comes_early_when_half_of_what_may_be_handed_out_is() {
    let mut fixture = fixture(1);
    let begun = Instant::now();
    let half = fixture.group().options.max_uncommitted.get() / 2;
    let [zero, one, two] = fixture.tokens([0, 1, 2]);
    fixture.tell_all([(zero, Outcome::Done)]).await;
    fixture.group().note_handed_out(half);
    fixture.tell_all([(one, Outcome::Done)]).await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
    fixture.tell_all([(two, Outcome::Done)]).await;
    assert_eq!(begun.elapsed(), EVERY, "it counts from the last commit");
}

#[tokio::test(start_paused = true)]
async fn messages_that_came_together_hold_their_partition_until_the_last_is_settled() {
    let mut fixture = fixture(1);
    let mut run = fixture.run(0, &[0, 1, 2]);
    let (two, one) = (run.pop().unwrap(), run.pop().unwrap());
    let first = [(run.remove(0), Outcome::Done), (one, Outcome::retry())];
    fixture.tell_all(first).await;
    assert!(fixture.in_flight() > 0);
    let (settled, commits) = fixture.tell_all([(two, Outcome::Done)]).await;
    assert_eq!((settled, commits), (Settled::sent(1), vec![]));
    assert_eq!(fixture.in_flight(), 0);
    advance(Duration::from_millis(100)).await;
    assert_eq!(fixture.due(), [(1, 2)]);
}

#[tokio::test(start_paused = true)]
async fn what_was_given_back_comes_again_after_its_pause_which_doubles() {
    let mut fixture = fixture(1);
    let [zero, one] = fixture.tokens([0, 1]);
    let longer = Outcome::retry_after(Duration::from_secs(60));
    let back = [(zero, Outcome::retry()), (one, longer)];
    let (settled, commits) = fixture.tell_all(back).await;
    assert_eq!((settled, commits), (Settled::confirmed(2), vec![]));
    assert_eq!(fixture.in_flight(), 0, "what waits holds nothing up");
    assert_eq!(fixture.due(), []);
    advance(Duration::from_millis(100)).await;
    assert_eq!(fixture.due(), [(0, 2)]);
    advance(Duration::from_secs(60)).await;
    assert_eq!(fixture.due(), [(1, 2)]);
}

#[tokio::test(start_paused = true)]
async fn what_waits_of_a_partition_that_goes_away_is_let_go() {
    let mut fixture = fixture(2);
    let (zero, one) = (fixture.token(0, 0), fixture.token(1, 0));
    fixture
        .tell_all([(zero, Outcome::retry()), (one, Outcome::retry())])
        .await;
    fixture.group().begin_revoke(&[0]);
    advance(Duration::from_secs(1)).await;
    assert_eq!(fixture.source.unsettled().waiting(), 1);
    assert_eq!(fixture.due().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_given_back_of_a_partition_that_goes_away_does_not_come_again() {
    let mut fixture = fixture(1);
    let [zero, one] = fixture.tokens([0, 1]);
    fixture.group().begin_revoke(&[0]);
    let (settled, _) = fixture.tell_all([(zero, Outcome::retry())]).await;
    assert_eq!(settled, Settled::sent(1));
    fixture.group().fence(&[0]);
    let (settled, _) = fixture.tell_all([(one, Outcome::retry())]).await;
    assert_eq!(settled, Settled::stale(1));
    advance(Duration::from_secs(60)).await;
    assert_eq!(fixture.due(), []);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_nobody_settles_holds_no_partition_up_that_goes_away() {
    let fixture = fixture(1);
    let [zero, one] = fixture.tokens([0, 1]);
    assert_eq!(fixture.in_flight(), 2);
    drop((zero, one));
    assert_eq!(fixture.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn late_outcomes_are_stale_and_neither_commit_nor_stop_later_ones() {
    let mut fixture = fixture(1);
    let [zero, one] = fixture.tokens([0, 1]);
    fixture.group().fence(&[0]);
    let (settled, commits) = fixture.tell_all([(zero, Outcome::Done)]).await;
    assert_eq!((settled, commits), (Settled::stale(1), vec![]));
    assign(fixture.group(), 0);
    let [again, next] = fixture.tokens([0, 1]);
    let (settled, commits) = fixture.tell_all([(one, Outcome::Done)]).await;
    assert_eq!((settled, commits), (Settled::stale(1), vec![]));
    let done = [(next, Outcome::Done), (again, Outcome::Done)];
    let (settled, commits) = fixture.tell_all(done).await;
    assert_eq!((settled, commits), (Settled::confirmed(2), vec![(0, 2)]));
}

#[tokio::test(start_paused = true)]
async fn offsets_that_go_back_begin_anew_and_the_partition_commits_on() {
    let mut fixture = fixture(1);
    let [seven, eight] = fixture.tokens([7, 8]);
    let [three] = fixture.tokens([3]);
    let before = [(seven, Outcome::Done), (eight, Outcome::Done)];
    let (settled, commits) = fixture.tell_all(before).await;
    assert_eq!((settled, commits), (Settled::stale(2), vec![]));
    let (settled, commits) = fixture.tell_all([(three, Outcome::Done)]).await;
    assert_eq!((settled, commits), (Settled::confirmed(1), vec![(0, 4)]));
}

#[tokio::test(start_paused = true)]
async fn an_outcome_whose_commit_fails_is_left_to_be_told_again_and_holds_its_partition() {
    let mut fixture = fixture(1);
    let [zero] = fixture.tokens([0]);
    let mut run = vec![(zero, Outcome::Done)];
    let refused = Err(Code::GroupAuthorizationFailed);
    let (settled, _) = fixture.tell(&mut run, refused).await;
    assert!(settled.unwrap_err().to_string().contains("not confirmed"));
    assert_eq!((run.len(), fixture.in_flight()), (1, 1));
    let (settled, commits) = fixture.tell(&mut run, Ok(())).await;
    assert_eq!(settled.unwrap(), Settled::confirmed(1));
    assert_eq!((commits, fixture.in_flight()), (vec![(0, 1)], 0));
}

#[tokio::test(start_paused = true)]
async fn an_outcome_survives_a_settlement_that_is_cut_short() {
    let mut fixture = fixture(1);
    let [zero, one] = fixture.tokens([0, 1]);
    let mut run = vec![(zero, Outcome::Done)];
    // Nobody answers the commit.
    let cut = timeout(Duration::from_secs(1), fixture.told.settle(&mut run)).await;
    assert!(cut.is_err());
    let left = fixture.jobs.try_recv().unwrap();
    assert!(left.reply.is_closed(), "nobody waits for it any more");
    run.push((one, Outcome::Done));
    let (settled, commits) = fixture.tell(&mut run, Ok(())).await;
    assert_eq!(settled.unwrap(), Settled::confirmed(2));
    assert_eq!(commits, [(0, 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_commit_without_an_answer_fails_in_time() {
    let mut fixture = fixture(1);
    let [zero] = fixture.tokens([0]);
    let begun = Instant::now();
    let error = fixture.told.settle(&mut vec![(zero, Outcome::Done)]).await;
    assert!(error.unwrap_err().to_string().contains("no answer"));
    assert_eq!(begun.elapsed(), Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_drain_lets_go_of_what_waits_and_nothing_more_waits_after_it() {
    let mut fixture = fixture(1);
    let [zero, one] = fixture.tokens([0, 1]);
    fixture.tell_all([(zero, Outcome::retry())]).await;
    let mut intake = towpath_core::Intake::new();
    fixture.source.drain(&mut intake).await.unwrap();
    assert_eq!((intake.len(), fixture.source.unsettled().waiting()), (0, 0));
    let (settled, commits) = fixture.tell_all([(one, Outcome::retry())]).await;
    assert_eq!((settled, commits), (Settled::sent(1), vec![]));
}

#[tokio::test(start_paused = true)]
async fn the_oldest_message_without_an_outcome_is_seen_with_its_age() {
    let mut fixture = fixture(2);
    let unsettled = fixture.source.unsettled();
    assert_eq!(unsettled.oldest(), None);
    let zero = fixture.token(1, 4);
    advance(Duration::from_secs(5)).await;
    let _one = fixture.token(0, 0);
    fixture.tell_all([(zero, Outcome::retry())]).await;
    let oldest = unsettled.oldest().unwrap();
    assert_eq!(
        (oldest.partition, oldest.offset, oldest.age),
        (1, 4, Duration::from_secs(5))
    );
    drop(fixture);
    assert_eq!(unsettled.oldest(), None);
}
