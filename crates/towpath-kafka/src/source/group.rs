//! What the threads of a source, its receiving end and its acknowledger share.

use std::{
    cell::Cell,
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{Acquire, Relaxed},
        },
    },
};

use rdkafka::{TopicPartitionList, consumer::base_consumer::PartitionQueue};
use tokio::sync::{Notify, mpsc};
use towpath_core::Lag;
use towpath_producer::cumulative::Offsets;

use super::{
    commits::Job,
    context::{Consumer, Context, Rebalance},
    parking::Parking,
    partitions::{Partitions, Place, number},
    run::Size,
    trouble::Troubles,
};
use crate::{KafkaError, lock::lock, options::KafkaSourceOptions};

/// What is known of a membership. Locks are taken in the order of the fields, and none is
/// held while the client works but `queues`, which it never asks for.
pub(super) struct Group {
    pub(super) options: KafkaSourceOptions,
    pub(super) topics: Vec<Arc<str>>,
    /// Where messages come from, by the number of the partition.
    pub(super) queues: Mutex<BTreeMap<u32, Queue>>,
    pub(super) partitions: Mutex<Partitions>,
    pub(super) parking: Mutex<Parking>,
    pub(super) offsets: Offsets,
    /// What the group wants and has no answer to yet.
    pub(super) rebalances: Mutex<VecDeque<Rebalance>>,
    pub(super) troubles: Mutex<Troubles>,
    /// To the thread that commits, while there is one.
    pub(super) jobs: Mutex<Option<mpsc::Sender<Job>>>,
    pub(super) lag: Lag,
    /// Something may be there to be received.
    pub(super) wake: Notify,
    /// How many messages were handed out since the last commit began.
    pub(super) uncommitted: AtomicUsize,
    /// That many that the next commit is due, however short ago the last one was.
    pub(super) due: Notify,
    /// A partition goes away: what is settled of it is committed at once.
    pub(super) hurry: Notify,
    /// The source is at its end.
    pub(super) is_stopping: AtomicBool,
    /// The client is at its end.
    pub(super) is_closing: AtomicBool,
}

/// The messages of a partition, as the client fetches them ahead.
pub(super) struct Queue {
    pub(super) place: Place,
    pub(super) messages: PartitionQueue<Context>,
    /// How much came of it last.
    pub(super) last: Cell<Size>,
}

// === impl Group ===

impl Group {
    pub(super) fn new(options: KafkaSourceOptions) -> Self {
        Self {
            topics: options.topics.iter().map(|t| t.as_str().into()).collect(),
            offsets: Offsets::new(options.max_uncommitted),
            options,
            queues: Mutex::default(),
            partitions: Mutex::default(),
            parking: Mutex::default(),
            rebalances: Mutex::default(),
            troubles: Mutex::default(),
            jobs: Mutex::default(),
            lag: Lag::default(),
            wake: Notify::new(),
            hurry: Notify::new(),
            uncommitted: AtomicUsize::new(0),
            due: Notify::new(),
            is_stopping: AtomicBool::new(false),
            is_closing: AtomicBool::new(false),
        }
    }

    pub(super) fn stops(&self) -> bool {
        self.is_stopping.load(Acquire)
    }

    /// Counts messages that were handed out.
    pub(super) fn note_handed_out(&self, count: usize) {
        self.uncommitted.fetch_add(count, Relaxed);
        if self.is_due() {
            self.due.notify_one();
        }
    }

    /// Whether to commit without waiting: half of what may be handed out is. The other half
    /// lasts until the commit is done.
    pub(super) fn is_due(&self) -> bool {
        self.uncommitted.load(Relaxed) >= self.options.max_uncommitted.get().div_ceil(2)
    }

    /// The partitions of a list, by their numbers.
    pub(super) fn numbers(&self, list: &TopicPartitionList) -> Vec<(u32, Place)> {
        let elements = list.elements();
        let numbered = elements.iter().filter_map(|element| {
            let known = |topic: &&Arc<str>| &***topic == element.topic();
            let index = self.topics.iter().position(|topic| known(&topic))?;
            let partition = element.partition();
            let topic = self.topics[index].clone();
            Some((number(index, partition)?, Place { topic, partition }))
        });
        numbered.collect()
    }

    /// Begins the assignments of a list, with a queue for each.
    ///
    /// The queues come first: messages that are fetched before would go elsewhere.
    pub(super) fn begin(
        self: &Arc<Self>,
        consumer: &Arc<Consumer>,
        list: &TopicPartitionList,
    ) -> Result<(), KafkaError> {
        let numbers = self.numbers(list);
        if numbers.len() != list.count() {
            let reason = "the group assigned a partition that is beyond counting".to_owned();
            return Err(KafkaError::Client { reason });
        }
        // A queue that ends after its successor has begun would take the wake-ups with it.
        let known: Vec<_> = numbers.iter().map(|(number, _)| *number).collect();
        self.drop_queues(&known);
        let mut queues = Vec::new();
        for (number, place) in numbers {
            queues.push((number, self.queue(consumer, place)?));
        }
        let mut all = lock(&self.queues);
        let mut partitions = lock(&self.partitions);
        for (number, queue) in queues {
            let generation = partitions.assign(number, queue.place.clone());
            self.offsets.assign(number, generation).map_err(|refused| {
                let reason = refused.to_string();
                KafkaError::Client { reason }
            })?;
            all.insert(number, queue);
        }
        Ok(())
    }

    fn queue(
        self: &Arc<Self>,
        consumer: &Arc<Consumer>,
        place: Place,
    ) -> Result<Queue, KafkaError> {
        let split = consumer.split_partition_queue(&place.topic, place.partition);
        let mut messages = split.ok_or_else(|| KafkaError::Client {
            reason: format!("{} has no partition {}", place.topic, place.partition),
        })?;
        let group = Arc::downgrade(self);
        messages.set_nonempty_callback(move || {
            if let Some(group) = group.upgrade() {
                group.wake.notify_one();
            }
        });
        let last = Cell::default();
        Ok(Queue {
            place,
            messages,
            last,
        })
    }

    /// Hands out nothing more of these partitions, and lets go of what waits of them.
    pub(super) fn begin_revoke(&self, numbers: &[u32]) {
        self.drop_queues(numbers);
        lock(&self.partitions).begin_revoke(numbers);
        lock(&self.parking).forget(numbers);
        self.hurry.notify_waiters();
    }

    fn drop_queues(&self, numbers: &[u32]) {
        let mut queues = lock(&self.queues);
        let gone: Vec<_> = numbers.iter().filter_map(|n| queues.remove(n)).collect();
        drop(queues);
        drop(gone);
    }

    /// Ends the assignments of these partitions: what is told of them from now on is stale.
    pub(super) fn fence(&self, numbers: &[u32]) {
        let mut partitions = lock(&self.partitions);
        for number in numbers {
            partitions.end(*number);
            self.offsets.revoke(*number);
        }
    }

    /// Ends all assignments.
    pub(super) fn fence_all(&self) {
        let held = lock(&self.partitions);
        let all: Vec<_> = held.iter().map(|(number, _)| number).collect();
        drop(held);
        self.begin_revoke(&all);
        self.fence(&all);
        lock(&self.rebalances).clear();
    }

    pub(super) fn is_assigned(&self) -> bool {
        !lock(&self.partitions).is_empty()
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("options", &self.options)
            .field("partitions", &lock(&self.partitions))
            .finish_non_exhaustive()
    }
}
