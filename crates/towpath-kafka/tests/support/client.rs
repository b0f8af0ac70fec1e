//! A client that has nothing to do with the connector: puts records in, and looks.

use std::{collections::BTreeMap, ops::Range, time::Duration};

use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, KafkaResult},
    message::{BorrowedMessage, Header, Headers as _, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer as _},
};

const PATIENCE: Duration = Duration::from_secs(30);

/// A record as the independent client sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plain {
    /// -1 lets the key decide.
    pub(crate) partition: i32,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) payload: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Plain {
    pub(crate) fn new(partition: i32, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            partition,
            payload: Some(payload.into()),
            ..Self::default()
        }
    }
}

fn config(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    config
}

/// Puts records in; returns when the brokers have them.
pub(crate) fn put(brokers: &str, topic: &str, records: &[Plain]) -> KafkaResult<()> {
    let producer: BaseProducer = config(brokers).set("enable.idempotence", "true").create()?;
    for plain in records {
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic);
        record.partition = (plain.partition >= 0).then_some(plain.partition);
        record.key = plain.key.as_deref();
        record.payload = plain.payload.as_deref();
        let headers = plain.headers.iter();
        let headers = headers.fold(OwnedHeaders::new(), |all, (key, value)| {
            let value = value.as_deref();
            all.insert(Header { key, value })
        });
        record.headers = (!plain.headers.is_empty()).then_some(headers);
        producer.send(record).map_err(|(error, _)| error)?;
    }
    producer.flush(PATIENCE)
}

/// Puts the numbers in, as text, in turns over the partitions.
pub(crate) fn put_numbers(brokers: &str, topic: &str, partitions: i32, numbers: Range<usize>) {
    let partition = |n| i32::try_from(n).expect("a small number") % partitions;
    let numbered = numbers.map(|n| Plain::new(partition(n), n.to_string()));
    let records: Vec<_> = numbered.collect();
    put(brokers, topic, &records).expect("a broker that takes them");
}

/// Where a group has committed, by partition.
pub(crate) fn committed(
    brokers: &str,
    group: &str,
    topic: &str,
    partitions: i32,
) -> KafkaResult<BTreeMap<i32, i64>> {
    let consumer: BaseConsumer = config(brokers).set("group.id", group).create()?;
    let mut list = TopicPartitionList::new();
    list.add_partition_range(topic, 0, partitions - 1);
    let list = consumer.committed_offsets(list, PATIENCE)?;
    let known = |offset| match offset {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    };
    let elements = list.elements().into_iter();
    let all = elements.filter_map(|e| Some((e.partition(), known(e.offset())?)));
    Ok(all.collect())
}

/// Where the partitions of a topic begin and end.
pub(crate) fn ends(
    brokers: &str,
    topic: &str,
    partitions: i32,
) -> KafkaResult<BTreeMap<i32, (i64, i64)>> {
    let consumer: BaseConsumer = config(brokers).create()?;
    let all = (0..partitions).map(|partition| {
        let ends = consumer.fetch_watermarks(topic, partition, PATIENCE)?;
        Ok((partition, ends))
    });
    all.collect()
}

/// Everything that a topic holds, partition by partition.
pub(crate) fn stored(brokers: &str, topic: &str, partitions: i32) -> KafkaResult<Vec<Plain>> {
    let mut config = config(brokers);
    config
        .set("group.id", "looks-only")
        .set("enable.auto.commit", "false");
    config.set("enable.partition.eof", "true");
    let consumer: BaseConsumer = config.create()?;
    let mut all = Vec::new();
    for partition in 0..partitions {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Beginning)?;
        consumer.assign(&list)?;
        read_to_end(&consumer, &mut all)?;
    }
    Ok(all)
}

fn read_to_end(consumer: &BaseConsumer, all: &mut Vec<Plain>) -> KafkaResult<()> {
    loop {
        match consumer
            .poll(PATIENCE)
            .unwrap_or(Err(KafkaError::NoMessageReceived))
        {
            Ok(message) => all.push(plain(&message)),
            Err(KafkaError::PartitionEOF(_)) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

fn plain(message: &BorrowedMessage<'_>) -> Plain {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        let all = headers.iter();
        all.map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec)))
            .collect()
    });
    Plain {
        partition: message.partition(),
        key: message.key().map(<[u8]>::to_vec),
        payload: message.payload().map(<[u8]>::to_vec),
        headers,
    }
}
