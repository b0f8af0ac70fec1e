//! What the client of a sink calls back.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering::Release},
};

use rdkafka::{
    ClientContext,
    error::{KafkaError as ClientError, RDKafkaErrorCode as Code},
    message::DeliveryResult,
    producer::ProducerContext,
};
use tokio::sync::Notify;
use towpath_core::Reach;

use super::deliveries::Ticket;
use crate::{KafkaError, KafkaSinkOptions, error::About, lock::lock};

/// What the client of a sink calls back, on its thread.
pub(super) struct Context {
    options: KafkaSinkOptions,
    reach: Reach,
    /// What one broker said last.
    last: Mutex<Option<String>>,
    /// The client cannot go on.
    pub(super) is_lost: AtomicBool,
    /// Something was reported: there may be room.
    pub(super) room: Notify,
}

// === impl Context ===

impl Context {
    pub(super) fn new(options: &KafkaSinkOptions, reach: &Reach) -> Self {
        Self {
            options: options.clone(),
            reach: reach.clone(),
            last: Mutex::default(),
            is_lost: AtomicBool::new(false),
            room: Notify::new(),
        }
    }
}

impl ClientContext for Context {
    fn error(&self, error: ClientError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else {
            return;
        };
        let reason = self.options.security.scrub(reason);
        let brokers = self.options.brokers.clone();
        let error = match About::of(code) {
            About::Broker => {
                *lock(&self.last) = Some(reason);
                return;
            }
            About::AllBrokers => {
                let reason = lock(&self.last).clone().unwrap_or(reason);
                KafkaError::Unreachable { brokers, reason }
            }
            About::Security => {
                *lock(&self.last) = Some(reason.clone());
                KafkaError::Refused { brokers, reason }
            }
            About::Client => {
                self.is_lost.store(true, Release);
                KafkaError::Client { reason }
            }
            // Topics are told by the reports of their records.
            About::Topic | About::Group | About::Start | About::Nothing => return,
        };
        self.reach.failed(&error.to_string());
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, report: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        let answer = match report {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(error.rdkafka_error_code().unwrap_or(Code::Fail)),
        };
        ticket.answer(answer);
        self.room.notify_waiters();
    }
}
