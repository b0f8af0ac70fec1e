//! The thread of a source: keeps a client, polls it for ever, and answers its group.
//!
//! Messages do not come this way: each partition has a queue of its own, so that the client
//! can be polled however little anybody wants. A source that is not asked for messages stays
//! a member of its group; the client fetches no more than fits in the queues.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering::Release},
    thread,
    time::Duration,
};

use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::Consumer as _,
    error::{KafkaError as ClientError, KafkaResult},
    message::BorrowedMessage,
};
use tokio::{sync::mpsc, time::Instant};
use towpath_connector::Backoff;
use towpath_core::Panicked;

use super::{
    commits,
    context::{Consumer, Context, Rebalance, assign, unassign},
    group::Group,
};
use crate::{KafkaError, error::not_made, lock::lock};

/// How long the thread waits for events at most: stopping and deadlines are seen by then.
const TICK: Duration = Duration::from_millis(100);
/// The same while a partition goes away.
const SHORT_TICK: Duration = Duration::from_millis(10);
/// How long a commit that is on its way may hold up the end, or a partition that goes away.
const COMMIT_GRACE: Duration = Duration::from_secs(1);
/// A client that lived so long was well.
const WELL: Duration = Duration::from_secs(60);

/// Partitions that go away, and until when they are held.
struct Revocation {
    list: TopicPartitionList,
    numbers: Vec<u32>,
    deadline: Instant,
}

/// Keeps a client until the source is at its end.
pub(super) fn run(group: &Arc<Group>) {
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
    while !group.stops() {
        let born = Instant::now();
        let ended = live(group);
        end(group);
        if let Err(error) = ended {
            lock(&group.troubles).set_client(error);
            group.wake.notify_one();
        }
        if born.elapsed() > WELL {
            backoff.reset();
        }
        pause(group, backoff.next());
    }
}

/// Whatever the client had is of the past.
fn end(group: &Group) {
    *lock(&group.jobs) = None;
    group.fence_all();
    group.is_closing.store(false, Release);
}

fn pause(group: &Group, pause: Duration) {
    let until = Instant::now() + pause;
    while !group.stops() && Instant::now() < until {
        thread::sleep(TICK.min(pause));
    }
}

/// The life of one client. Ends with an error where another one must take its place.
fn live(group: &Arc<Group>) -> Result<(), KafkaError> {
    let context = Context {
        group: group.clone(),
    };
    let created = group.options.config().create_with_context(context);
    let consumer: Arc<Consumer> = Arc::new(created.map_err(|error| client_error(group, &error))?);
    let (sender, jobs) = mpsc::channel(1);
    thread::scope(|scope| {
        let committing = thread::Builder::new()
            .name("towpath-kafka-commits".to_owned())
            .spawn_scoped(scope, || commits::serve(group, &consumer, jobs))
            .map_err(|error| KafkaError::Client {
                reason: error.to_string(),
            })?;
        *lock(&group.jobs) = Some(sender);
        let served = catch_unwind(AssertUnwindSafe(|| serve(group, &consumer)));
        close(group, &consumer, || committing.is_finished());
        served.unwrap_or_else(|panic| {
            let reason = Panicked::from_payload(panic).to_string();
            Err(KafkaError::Client { reason })
        })
    })
}

fn client_error(group: &Group, error: &ClientError) -> KafkaError {
    let options = &group.options;
    not_made(error, &options.brokers, &options.security)
}

/// Lets go of everything: what is in flight is of the past, and so are its commits.
fn close(group: &Group, consumer: &Consumer, is_done: impl Fn() -> bool) {
    *lock(&group.jobs) = None;
    let until = Instant::now() + COMMIT_GRACE;
    while !is_done() && Instant::now() < until {
        drop(consumer.poll(SHORT_TICK));
    }
    group.is_closing.store(true, Release);
    group.fence_all();
    if !is_done() {
        // A commit waits for brokers that are away: only the end of the client ends it.
        drop(consumer.close_queue());
        while !is_done() && !consumer.closed() {
            drop(consumer.poll(SHORT_TICK));
        }
    }
}

/// Polls until the source is at its end, or the client cannot go on.
fn serve(group: &Arc<Group>, consumer: &Arc<Consumer>) -> Result<(), KafkaError> {
    let topics: Vec<_> = group.topics.iter().map(|topic| &**topic).collect();
    let fatal = |error: ClientError| client_error(group, &error);
    consumer.subscribe(&topics).map_err(fatal)?;
    let mut revocation: Option<Revocation> = None;
    while !group.stops() {
        let tick = if revocation.is_some() {
            SHORT_TICK
        } else {
            TICK
        };
        poll(consumer, tick).map_err(fatal)?;
        if let Some((_, reason)) = consumer.client().fatal_error() {
            let reason = group.options.security.scrub(&reason);
            return Err(KafkaError::Client { reason });
        }
        if revocation.is_none() {
            revocation = answer(group, consumer)?;
        }
        if let Some(over) = revocation.take_if(|going| going.is_over(group, consumer)) {
            group.fence(&over.numbers);
            unassign(consumer, &over.list).map_err(fatal)?;
        }
    }
    Ok(())
}

/// Waits for an event. Errors come by the context, with their texts.
fn poll(consumer: &Consumer, tick: Duration) -> KafkaResult<()> {
    match consumer.poll(tick) {
        Some(Ok(stray)) => put_back(consumer, &stray),
        Some(Err(_)) | None => Ok(()),
    }
}

/// A message that came before its queue was there: it must come again, or it would be
/// committed over.
fn put_back(consumer: &Consumer, stray: &BorrowedMessage<'_>) -> KafkaResult<()> {
    let offset = Offset::Offset(stray.offset());
    consumer.seek(stray.topic(), stray.partition(), offset, COMMIT_GRACE)
}

/// Answers what the group wants next.
fn answer(group: &Arc<Group>, consumer: &Arc<Consumer>) -> Result<Option<Revocation>, KafkaError> {
    let next = lock(&group.rebalances).pop_front();
    match next {
        None => Ok(None),
        Some(Rebalance::Assign(list)) => {
            group.begin(consumer, &list)?;
            assign(consumer, &list).map_err(|error| client_error(group, &error))?;
            if group.is_assigned() {
                lock(&group.troubles).clear_assigned();
            }
            group.wake.notify_one();
            Ok(None)
        }
        Some(Rebalance::Revoke(list)) => Ok(Some(Revocation::begin(group, list))),
    }
}

// === impl Revocation ===

impl Revocation {
    fn begin(group: &Group, list: TopicPartitionList) -> Self {
        let numbers: Vec<_> = group.numbers(&list).into_iter().map(|(n, _)| n).collect();
        group.begin_revoke(&numbers);
        Self {
            list,
            numbers,
            deadline: Instant::now() + group.options.revoke_deadline,
        }
    }

    /// Whether nothing of them is in flight, time is up, or somebody else has them already.
    fn is_over(&self, group: &Group, consumer: &Consumer) -> bool {
        let in_flight = lock(&group.partitions).in_flight(&self.numbers);
        in_flight == 0 || Instant::now() >= self.deadline || consumer.assignment_lost()
    }
}
