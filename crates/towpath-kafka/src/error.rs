//! What goes wrong with Kafka, and which option it is about.

use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode as Code};

use crate::Security;

/// What goes wrong with Kafka, and which option it is about. Shows no secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KafkaError {
    /// No broker answers. The client goes on trying.
    #[error("no broker of `brokers` {brokers} answers: {reason}")]
    Unreachable {
        /// The brokers that were asked.
        brokers: String,
        /// What the client said last.
        reason: String,
    },
    /// The brokers refuse who connects, or TLS comes to nothing. The client goes on trying.
    #[error("the brokers {brokers} refuse `security`: {reason}")]
    Refused {
        /// The brokers that were asked.
        brokers: String,
        /// What the client said last.
        reason: String,
    },
    /// A topic is not there, or must not be used.
    #[error("`topics`: {reason}")]
    Topic {
        /// What the brokers said.
        reason: String,
    },
    /// The group must not be used.
    #[error("`group` {group}: {reason}")]
    Group {
        /// The consumer group.
        group: String,
        /// What the brokers said.
        reason: String,
    },
    /// The group has no position, and `start` says that it must.
    #[error("`start`: {reason}")]
    NoPosition {
        /// What the client said.
        reason: String,
    },
    /// The client cannot go on; another one takes its place.
    #[error("the client cannot go on: {reason}")]
    Client {
        /// What the client said.
        reason: String,
    },
    /// A commit was not confirmed.
    #[error("a commit was not confirmed: {reason}")]
    Commit {
        /// What the brokers said.
        reason: String,
    },
    /// A message was not taken.
    #[error("not sent to topic {topic}: {reason}")]
    NotSent {
        /// The topic.
        topic: String,
        /// What the client or the brokers said.
        reason: String,
    },
    /// A message is larger than is taken.
    #[error("a message of {size} bytes is too large for topic {topic}: {limit}")]
    TooLarge {
        /// The topic.
        topic: String,
        /// Payload, key and headers together, in bytes.
        size: usize,
        /// Whose limit it is, and how much.
        limit: String,
    },
    /// A message has no topic: neither its own nor one of the sink.
    #[error("the message names no topic, and the sink has no `topic` of its own")]
    NoTopic,
}

/// What a client that cannot be made says.
pub(crate) fn not_made(error: &ClientError, brokers: &str, security: &Security) -> KafkaError {
    // Its own text shows the value of a property that is refused.
    let reason = match error {
        ClientError::ClientConfig(_, reason, name, _) => format!("property {name}: {reason}"),
        other => other.to_string(),
    };
    let reason = security.scrub(&reason);
    let brokers = brokers.to_owned();
    let is_security = ["ssl.", "SSL", "SASL", "sasl."];
    if is_security.iter().any(|word| reason.contains(word)) {
        return KafkaError::Refused { brokers, reason };
    }
    KafkaError::Client { reason }
}

/// What an error of the client is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// One broker at least cannot be reached: the reason is worth keeping.
    Broker,
    /// No broker can be reached.
    AllBrokers,
    Security,
    Topic,
    Group,
    Start,
    Client,
    /// Nothing that concerns anybody else.
    Nothing,
}

impl About {
    pub(crate) fn of(code: Code) -> Self {
        match code {
            Code::BrokerTransportFailure | Code::Resolve | Code::OperationTimedOut => Self::Broker,
            Code::AllBrokersDown => Self::AllBrokers,
            Code::Authentication | Code::SSL | Code::SaslAuthenticationFailed => Self::Security,
            Code::UnknownTopicOrPartition
            | Code::UnknownTopic
            | Code::UnknownPartition
            | Code::InvalidTopic
            | Code::TopicAuthorizationFailed => Self::Topic,
            Code::GroupAuthorizationFailed | Code::InvalidGroupId | Code::InvalidSessionTimeout => {
                Self::Group
            }
            Code::AutoOffsetReset => Self::Start,
            Code::Fatal => Self::Client,
            _ => Self::Nothing,
        }
    }
}
