//! Commits: contiguous, of assignments that go on, and confirmed.
//!
//! The client tells the result of a commit only to whoever waits for it: a commit without
//! waiting ends in silence. So a thread of its own waits.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _},
    error::{KafkaError as ClientError, KafkaResult, RDKafkaErrorCode as Code},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, sleep_until, timeout_at},
};
use towpath_core::BoxError;
use towpath_producer::cumulative::{Commit, Committer};

use super::{context::Consumer, group::Group};
use crate::{KafkaError, lock::lock};

/// The pause before a commit is tried again that came at a bad moment.
const PAUSE: Duration = Duration::from_millis(100);

/// Positions to commit, and who wants to know what became of them.
pub(super) struct Job {
    pub(super) commits: Vec<Commit>,
    pub(super) reply: oneshot::Sender<KafkaResult<()>>,
}

/// Hands commits to the thread that waits for them.
pub(super) struct GroupCommits {
    group: Arc<Group>,
    /// When the last one was confirmed.
    last: Option<Instant>,
}

/// Commits what comes, one after the other, until nobody sends any more.
pub(super) fn serve(group: &Group, consumer: &Consumer, mut jobs: mpsc::Receiver<Job>) {
    while let Some(job) = jobs.blocking_recv() {
        // Nobody waits any more: the positions come again, or are somebody else's.
        if !job.reply.is_closed() {
            let done = commit(group, consumer, &job.commits);
            drop(job.reply.send(done));
        }
    }
}

/// Commits topic by topic: the client tells one result for all that goes in one call.
fn commit(group: &Group, consumer: &Consumer, commits: &[Commit]) -> KafkaResult<()> {
    for list in lists(group, commits)? {
        consumer.commit(&list, CommitMode::Sync)?;
    }
    Ok(())
}

/// A list for each topic, of the assignments that go on.
fn lists(group: &Group, commits: &[Commit]) -> KafkaResult<Vec<TopicPartitionList>> {
    let partitions = lock(&group.partitions);
    let mut lists: Vec<(Arc<str>, TopicPartitionList)> = Vec::new();
    for commit in commits {
        if !partitions.holds(commit.partition, commit.generation) {
            return Err(ClientError::ConsumerCommit(Code::AssignmentLost));
        }
        let Some(held) = partitions.get(commit.partition) else {
            continue;
        };
        let place = &held.place;
        let known = lists.iter().position(|(topic, _)| *topic == place.topic);
        let index = known.unwrap_or_else(|| {
            lists.push((place.topic.clone(), TopicPartitionList::new()));
            lists.len() - 1
        });
        let offset = Offset::Offset(i64::try_from(commit.offset).unwrap_or(i64::MAX));
        let list = &mut lists[index].1;
        list.add_partition_offset(&place.topic, place.partition, offset)?;
    }
    Ok(lists.into_iter().map(|(_, list)| list).collect())
}

/// Whether it may go better soon: the group is about to move, or its coordinator is.
fn is_passing(code: Code) -> bool {
    matches!(
        code,
        Code::RebalanceInProgress
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::WaitingForCoordinator
            | Code::BrokerTransportFailure
            | Code::OperationTimedOut
            | Code::RequestTimedOut
    )
}

// === impl GroupCommits ===

impl GroupCommits {
    pub(super) fn new(group: Arc<Group>) -> Self {
        Self { group, last: None }
    }

    /// Waits until it is time again, or there is no time: much is handed out since the last
    /// commit, or a partition goes away.
    async fn pace(&self) {
        let Some(last) = self.last else {
            return;
        };
        let hurry = self.group.hurry.notified();
        let is_revoking = lock(&self.group.partitions).is_revoking();
        if is_revoking || self.group.stops() {
            return;
        }
        let due = async {
            while !self.group.is_due() {
                self.group.due.notified().await;
            }
        };
        tokio::select! {
            () = sleep_until(last + self.group.options.commit_every) => {}
            () = hurry => {}
            () = due => {}
        }
    }

    async fn attempt(&self, commits: &[Commit]) -> Result<(), Attempt> {
        let jobs = lock(&self.group.jobs).clone();
        let jobs = jobs.ok_or(Attempt::NoClient)?;
        let (reply, done) = oneshot::channel();
        let commits = commits.to_vec();
        let job = Job { commits, reply };
        jobs.send(job).await.map_err(|_| Attempt::NoClient)?;
        let done = done.await.map_err(|_| Attempt::NoClient)?;
        done.map_err(|error| match error.rdkafka_error_code() {
            Some(code) if is_passing(code) => Attempt::Passing(error),
            _ => Attempt::Refused(error),
        })
    }
}

/// How an attempt failed.
enum Attempt {
    NoClient,
    Passing(ClientError),
    Refused(ClientError),
}

impl Attempt {
    fn reason(&self) -> String {
        match self {
            Self::NoClient => "the client is not there".to_owned(),
            Self::Passing(error) | Self::Refused(error) => error.to_string(),
        }
    }
}

impl Committer for GroupCommits {
    async fn commit(&mut self, commits: &[Commit]) -> Result<(), BoxError> {
        // What is settled has made room.
        self.group.wake.notify_one();
        self.pace().await;
        self.group.uncommitted.store(0, Relaxed);
        let deadline = Instant::now() + self.group.options.commit_timeout;
        loop {
            let reason = match timeout_at(deadline, self.attempt(commits)).await {
                Ok(Ok(())) => {
                    self.last = Some(Instant::now());
                    return Ok(());
                }
                Ok(Err(Attempt::Passing(_))) if Instant::now() + PAUSE < deadline => {
                    sleep(PAUSE).await;
                    continue;
                }
                Ok(Err(failed)) => failed.reason(),
                Err(_) => "no answer".to_owned(),
            };
            return Err(KafkaError::Commit { reason }.into());
        }
    }
}
