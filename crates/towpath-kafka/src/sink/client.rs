//! The client of a sink, and its thread.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use rdkafka::{
    error::KafkaError as ClientError,
    producer::{BaseRecord, Producer as _, ThreadedProducer},
};
use tokio::sync::futures::Notified;

use super::{context::Context, deliveries::Ticket};
use crate::{KafkaError, KafkaSinkOptions, error::not_made};

/// How long the end waits for the client.
const CLOSE: Duration = Duration::from_secs(3);

pub(super) type Outgoing<'a> = BaseRecord<'a, [u8], [u8], Box<Ticket>>;

/// A client; polled for reports by a thread of its own.
pub(super) struct Client {
    producer: ThreadedProducer<Context>,
}

// === impl Client ===

impl Client {
    pub(super) fn new(options: &KafkaSinkOptions) -> Result<Self, KafkaError> {
        let context = Context::new(options);
        let created = options.config().create_with_context(context);
        let (brokers, security) = (&options.brokers, &options.security);
        let producer = created.map_err(|error| not_made(&error, brokers, security))?;
        Ok(Self { producer })
    }

    /// Whether the client can never send anything again.
    pub(super) fn is_lost(&self) -> bool {
        self.producer.client().fatal_error().is_some()
    }

    /// Why nothing can be sent.
    pub(super) fn away(&self) -> Option<KafkaError> {
        self.context().away()
    }

    /// When there may be room again: to be made before it is looked for.
    pub(super) fn room(&self) -> Notified<'_> {
        self.context().room.notified()
    }

    /// Hands a record to the client, which sends it in its own time.
    pub(super) fn send<'a>(
        &self,
        record: Outgoing<'a>,
    ) -> Result<(), Box<(ClientError, Outgoing<'a>)>> {
        self.producer.send(record).map_err(Box::new)
    }

    fn context(&self) -> &Arc<Context> {
        self.producer.client().context()
    }
}

/// Ends a client, and waits for that within bounds.
pub(super) fn end(client: Client) {
    let (end, ended) = mpsc::sync_channel::<()>(0);
    let named = thread::Builder::new().name("towpath-kafka-end".to_owned());
    let ending = named.spawn(move || {
        drop(client);
        drop(end);
    });
    let Ok(ending) = ending else {
        return;
    };
    if ended.recv_timeout(CLOSE) == Err(mpsc::RecvTimeoutError::Disconnected) {
        drop(ending.join());
    }
}
