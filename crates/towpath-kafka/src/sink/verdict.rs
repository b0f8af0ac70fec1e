//! What an answer of the client means for a record.

use rdkafka::error::RDKafkaErrorCode as Code;

use crate::{KafkaError, Record};

/// Whether a record will never be taken: it is the record, and not the moment.
pub(super) fn is_final(code: Code) -> bool {
    matches!(
        code,
        Code::MessageSizeTooLarge
            | Code::InvalidMessageSize
            | Code::UnknownTopic
            | Code::UnknownTopicOrPartition
            | Code::UnknownPartition
            | Code::InvalidTopic
            | Code::InvalidPartitions
            | Code::InvalidTimestamp
            | Code::InvalidRecord
            | Code::InvalidArgument
            | Code::BadMessage
    )
}

/// The answer in words.
pub(super) fn error(topic: &str, record: &Record, code: Code, limit: u64) -> KafkaError {
    let topic = topic.to_owned();
    match code {
        Code::MessageSizeTooLarge => {
            let size = record.size();
            // The client counts what the protocol adds, about so much.
            let is_ours = size as u64 + 512 > limit;
            let limit = if is_ours {
                format!("`max_message` is {limit} bytes, headers of the protocol included")
            } else {
                "the brokers take less (max.message.bytes of the topic)".to_owned()
            };
            KafkaError::TooLarge { topic, size, limit }
        }
        Code::UnknownPartition => {
            let partition = record.partition.unwrap_or(-1);
            let reason = format!("it has no partition {partition}");
            KafkaError::NotSent { topic, reason }
        }
        Code::UnknownTopic | Code::UnknownTopicOrPartition => {
            let reason = "the brokers know no such topic".to_owned();
            KafkaError::NotSent { topic, reason }
        }
        other => {
            let reason = other.to_string();
            KafkaError::NotSent { topic, reason }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_is_too_large_is_told_with_its_size_and_whose_limit_it_is() {
        let record = Record::new(vec![0; 5_000]).key("k").header("a", "b");
        let told = |limit| error("orders", &record, Code::MessageSizeTooLarge, limit).to_string();
        assert!(
            told(5_000).contains("5003 bytes") && told(5_000).contains("`max_message` is 5000")
        );
        assert!(told(1_000_000).contains("max.message.bytes of the topic"));
    }

    #[test]
    fn topics_and_partitions_that_are_not_there_are_named() {
        let record = Record::new("x").partition(7);
        let told = |code| error("orders", &record, code, 100).to_string();
        assert!(told(Code::UnknownPartition).contains("topic orders: it has no partition 7"));
        assert!(told(Code::UnknownTopic).contains("topic orders"));
    }

    #[test]
    fn what_may_go_better_later_is_given_back() {
        let passing = [
            Code::MessageTimedOut,
            Code::PurgeQueue,
            Code::TopicAuthorizationFailed,
        ];
        assert!(passing.iter().all(|code| !is_final(*code)));
        assert!(is_final(Code::MessageSizeTooLarge) && is_final(Code::UnknownTopic));
    }
}
