//! What the client calls back.

use std::sync::{Arc, atomic::Ordering::Acquire};

use rdkafka::{
    ClientContext, Statistics, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext, RebalanceProtocol},
    error::{KafkaError as ClientError, KafkaResult},
    types::RDKafkaRespErr,
};

use super::{figures, group::Group};
use crate::lock::lock;

/// A client of a group.
pub(super) type Consumer = BaseConsumer<Context>;

/// What the client calls back: on the thread that polls it, but for errors of one partition.
pub(super) struct Context {
    pub(super) group: Arc<Group>,
}

/// What the group wants of this member; to be answered by [`assign`] or [`unassign`].
#[derive(Debug)]
pub(super) enum Rebalance {
    Assign(TopicPartitionList),
    Revoke(TopicPartitionList),
}

/// The default would answer at once, before anything in flight is settled: here it is only
/// noted. Other partitions go on, and the client is polled meanwhile.
impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        kind: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let partitions = partitions.clone();
        let is_assigned = kind == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.group.is_closing.load(Acquire) {
            // Nobody comes to answer any more, and everything is fenced already.
            let nothing = TopicPartitionList::new();
            let answered = if is_assigned {
                assign(consumer, &nothing)
            } else {
                unassign(consumer, &partitions)
            };
            drop(answered);
            return;
        }
        let rebalance = if is_assigned {
            Rebalance::Assign(partitions)
        } else {
            Rebalance::Revoke(partitions)
        };
        lock(&self.group.rebalances).push_back(rebalance);
    }
}

impl ClientContext for Context {
    fn stats(&self, figures: Statistics) {
        let group = &*self.group;
        let lag = {
            let partitions = lock(&group.partitions);
            figures::lag(&figures, &partitions, group.options.start)
        };
        match lag {
            Some(lag) => group.lag.set(lag),
            None => group.lag.forget(),
        }
        let up = figures::brokers_up(&figures);
        if lock(&group.troubles).note_brokers(up, &group.options) {
            group.wake.notify_one();
        }
    }

    fn error(&self, error: ClientError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else {
            return;
        };
        let is_new = lock(&self.group.troubles).note(code, reason, &self.group.options);
        if is_new {
            self.group.wake.notify_one();
        }
    }
}

/// Takes partitions: more of them, or these and no others, as the group's protocol has it.
pub(super) fn assign(consumer: &Consumer, partitions: &TopicPartitionList) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_assign(partitions),
        RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.assign(partitions),
    }
}

/// Lets go of partitions: of these, or of all there are.
pub(super) fn unassign(consumer: &Consumer, partitions: &TopicPartitionList) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_unassign(partitions),
        RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.unassign(),
    }
}
