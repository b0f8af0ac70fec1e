//! What the client of a sink calls back.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use super::deliveries::Ticket;
use crate::{KafkaError, KafkaSinkOptions, error::About, lock::lock};
use rdkafka::{
    ClientContext,
    error::{KafkaError as ClientError, RDKafkaErrorCode as Code},
    message::DeliveryResult,
    producer::ProducerContext,
};
use tokio::sync::Notify;

/// What the client of a sink calls back, on its thread.
pub(super) struct Context {
    options: KafkaSinkOptions,
    /// What one broker said last.
    last: Mutex<Option<String>>,
    /// Why no broker can be reached. Nothing to worry about while there is nothing to send:
    /// brokers end connections that are idle.
    away: Mutex<Option<KafkaError>>,
    is_away: AtomicBool,
    /// Something was reported: there may be room.
    pub(super) room: Notify,
}

// === impl Context ===

impl Context {
    pub(super) fn new(options: &KafkaSinkOptions) -> Self {
        Self {
            options: options.clone(),
            last: Mutex::default(),
            away: Mutex::default(),
            is_away: AtomicBool::new(false),
            room: Notify::new(),
        }
    }

    /// Why nothing can be sent, since something was sent last.
    pub(super) fn away(&self) -> Option<KafkaError> {
        lock(&self.away).clone()
    }

    fn set_away(&self, error: KafkaError) {
        *lock(&self.away) = Some(error);
        self.is_away.store(true, Relaxed);
    }

    fn is_back(&self) {
        if self.is_away.swap(false, Relaxed) {
            *lock(&self.away) = None;
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
            About::Client => KafkaError::Client { reason },
            // Topics are told by the reports of their records.
            About::Topic | About::Group | About::Start | About::Nothing => return,
        };
        self.set_away(error);
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, report: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        let answer = match report {
            Ok(_) => {
                self.is_back();
                Ok(())
            }
            Err((error, _)) => Err(error.rdkafka_error_code().unwrap_or(Code::Fail)),
        };
        ticket.answer(answer);
        self.room.notify_waiters();
    }
}
