//! An idempotent producer as a sink.

mod client;
mod context;
mod deliveries;
mod verdict;

use std::{
    fmt,
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use rdkafka::{
    error::{KafkaError as ClientError, RDKafkaErrorCode as Code},
    message::{Header, OwnedHeaders},
    producer::BaseRecord,
};
use tokio::time::timeout;
use towpath_connector::outgoing;
use towpath_core::{Batch, BoxError, Failure, Headers, Peer, Reach, Sink, Verdicts, Written};
use towpath_options::InvalidOptions;

use crate::{KafkaError, KafkaSinkOptions, Record, lock::lock};
use client::Client;
use deliveries::{Deliveries, Ticket};

/// How long to wait for room in the client until it is looked for again.
const ROOM_AGAIN: Duration = Duration::from_millis(100);
/// How long a batch waits until somebody looks whether the brokers are there.
const LOOK: Duration = Duration::from_millis(500);

/// Sends records to topics, each confirmed by all replicas that are in sync.
///
/// Takes whatever becomes a [`Record`]: bytes, text, a [`KafkaRecord`](crate::KafkaRecord).
/// Clones share one client, so that workers fill each other's requests.
///
/// # When brokers are away
/// A batch waits, and the client sends it as soon as they are back: in its order per
/// partition, and no record twice. When the patience is over, what is not confirmed is
/// given back. It may have arrived nevertheless, and comes twice then.
///
/// # What is refused
/// A record that is too large, that names a topic or a partition that is not there, or that
/// the brokers find invalid, is rejected by itself, and the others of its batch are sent.
///
/// ```
/// use towpath_kafka::{KafkaSink, KafkaSinkOptions};
///
/// let sink = KafkaSink::new(KafkaSinkOptions::new("localhost:9092").topic("invoices"))?;
/// # drop(sink); // connects with its first batch
/// # Ok::<(), towpath_options::InvalidOptions>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct KafkaSink(Arc<Shared>);

struct Shared {
    options: KafkaSinkOptions,
    reach: Reach,
    client: Mutex<Option<Arc<Client>>>,
}

// === impl KafkaSink ===

impl KafkaSink {
    /// A sink that sends as the options say; nothing connects yet.
    ///
    /// # Errors
    /// Fails with every problem that the options have.
    pub fn new(options: KafkaSinkOptions) -> Result<Self, InvalidOptions> {
        options.validate()?;
        Ok(Self(Arc::new(Shared {
            options,
            reach: Reach::default(),
            client: Mutex::default(),
        })))
    }

    /// The client, a new one where there is none or it cannot go on.
    fn client(&self) -> Result<Arc<Client>, KafkaError> {
        let mut client = lock(&self.0.client);
        if let Some(client) = client.as_ref().filter(|client| !client.is_lost()) {
            return Ok(client.clone());
        }
        let new = Arc::new(Client::new(&self.0.options)?);
        *client = Some(new.clone());
        Ok(new)
    }

    /// Waits, and says meanwhile that the brokers are away, where they are.
    async fn watched<R>(&self, client: &Client, waiting: impl Future<Output = R>) -> R {
        let mut waiting = pin!(waiting);
        let mut is_told = false;
        loop {
            match timeout(LOOK, waiting.as_mut()).await {
                Ok(done) => return done,
                Err(_) if is_told => {}
                Err(_) => {
                    let away = client.away();
                    is_told = away.is_some();
                    away.inspect(|away| self.0.reach.failed(&away.to_string()));
                }
            }
        }
    }

    /// Hands records to the client, in their order; each gets its answer in `deliveries`.
    async fn send(&self, client: &Client, records: &[Sendable], deliveries: &Arc<Deliveries>) {
        for (index, sendable) in records.iter().enumerate() {
            let Err(refused) = self.send_one(client, sendable, deliveries, index).await else {
                continue;
            };
            deliveries.answer(index, Err(refused));
        }
    }

    async fn send_one(
        &self,
        client: &Client,
        sendable: &Sendable,
        deliveries: &Arc<Deliveries>,
        index: usize,
    ) -> Result<(), Code> {
        let topic = sendable.topic(&self.0.options).ok_or(Code::InvalidTopic)?;
        let ticket = Box::new(Ticket::new(deliveries, index));
        let mut record = sendable.record(topic, ticket);
        loop {
            let room = client.room();
            let (error, back) = match client.send(record) {
                Ok(()) => return Ok(()),
                Err(refused) => *refused,
            };
            match error {
                ClientError::MessageProduction(Code::QueueFull) => {}
                ClientError::MessageProduction(code) => return Err(code),
                _ => return Err(Code::InvalidTopic),
            }
            record = back;
            drop(timeout(ROOM_AGAIN, room).await);
        }
    }
}

impl<T: Into<Record> + Send + 'static> Sink<T> for KafkaSink {
    async fn write(&mut self, batch: Batch<T>) -> Result<Written, BoxError> {
        let client = self.client().map_err(|error| {
            self.0.reach.failed(&error.to_string());
            Failure::retry(error).after(self.0.options.retry_after)
        })?;
        let nothing = Headers::default();
        let places = 0..batch.len();
        let added: Vec<_> = places.map(|at| outgoing(&batch, at, &nothing)).collect();
        let items = batch.into_items().into_iter().zip(added);
        let records: Vec<_> = items
            .map(|(item, added)| Sendable::new(item.into(), added))
            .collect();
        let deliveries = Deliveries::new(records.len());
        let sending = async {
            self.send(&client, &records, &deliveries).await;
            deliveries.all().await
        };
        let answers = self.watched(&client, sending).await;
        Ok(self.verdicts(&records, answers))
    }

    fn peer(&self) -> Peer {
        let peer = Peer::new("kafka");
        match &self.0.options.topic {
            Some(topic) => peer.destination(topic.as_str()),
            None => peer,
        }
    }

    fn reach(&self) -> Option<Reach> {
        Some(self.0.reach.clone())
    }
}

impl KafkaSink {
    fn verdicts(&self, records: &[Sendable], answers: Vec<Result<(), Code>>) -> Written {
        if answers.iter().any(Result::is_ok) {
            self.0.reach.answered();
        }
        if answers.iter().all(Result::is_ok) {
            return Written::All;
        }
        let mut verdicts = Verdicts::done();
        for (index, answer) in answers.into_iter().enumerate() {
            if let Err(code) = answer {
                let failure = self.failure(&records[index], code);
                verdicts = verdicts.fail(index, failure);
            }
        }
        Written::Each(verdicts)
    }

    fn failure(&self, sendable: &Sendable, code: Code) -> Failure {
        let options = &self.0.options;
        let Some(topic) = sendable.topic(options) else {
            return Failure::reject(KafkaError::NoTopic);
        };
        let record = &sendable.record;
        let error = verdict::error(topic, record, code, options.max_message);
        if verdict::is_final(code) {
            return Failure::reject(error);
        }
        self.0.reach.failed(&error.to_string());
        Failure::retry(error).after(options.retry_after)
    }
}

impl Drop for Shared {
    /// Nothing is on its way any more, but for what a write left behind that was cut off. The
    /// client ends on a thread of its own: that may take a while.
    fn drop(&mut self) {
        if let Some(client) = lock(&self.client).take().and_then(Arc::into_inner) {
            client::end(client);
        }
    }
}

/// A record with what goes out beside it.
struct Sendable {
    record: Record,
    added: Headers,
}

// === impl Sendable ===

impl Sendable {
    fn new(record: Record, added: Headers) -> Self {
        Self { record, added }
    }

    fn topic<'a>(&'a self, options: &'a KafkaSinkOptions) -> Option<&'a str> {
        self.record.topic.as_deref().or(options.topic.as_deref())
    }

    fn record<'a>(&'a self, topic: &'a str, ticket: Box<Ticket>) -> client::Outgoing<'a> {
        let record = &self.record;
        let mut out = BaseRecord::with_opaque_to(topic, ticket);
        out.partition = record.partition;
        out.payload = record.payload.as_deref();
        out.key = record.key.as_deref();
        out.timestamp = record.timestamp_ms;
        out.headers = self.headers();
        out
    }

    /// Those of the trace and the attempts take the place of others of the same name.
    fn headers(&self) -> Option<OwnedHeaders> {
        let own = self.record.headers.iter();
        let own = own.filter(|(name, _)| self.added.get(name).is_none());
        let added = self
            .added
            .iter()
            .map(|(name, text)| (name, Some(text.as_bytes())));
        let mut all = own.chain(added).peekable();
        all.peek()?;
        let headers = OwnedHeaders::new();
        Some(all.fold(headers, |headers, (key, value)| {
            headers.insert(Header { key, value })
        }))
    }
}

impl fmt::Debug for KafkaSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSink")
            .field("options", &self.0.options)
            .field("reach", &self.0.reach)
            .finish_non_exhaustive()
    }
}
