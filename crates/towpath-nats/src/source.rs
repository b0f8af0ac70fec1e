//! A durable pull consumer of a stream, as a source.

mod acknowledger;
mod bind;
mod pulls;
mod token;

use std::{collections::VecDeque, fmt, mem, sync::Arc, time::Duration};

use async_nats::{Message, Subject, jetstream::AckKind};
use tokio::time::{Instant, timeout};
use towpath_connector::{Leases, attempt_of};
use towpath_core::{BoxError, Delivery, Intake, Lag, Origin, Peer, Producer, Received, Redelivery};
use towpath_options::InvalidOptions;

pub use acknowledger::JetStreamAcknowledger;
pub use token::JetStreamToken;

use crate::{
    JetStreamMessage, JetStreamSourceOptions, NatsError, NatsOptions,
    connection::{Connection, Live},
    delivery_info::DeliveryInfo,
    headers,
};
use pulls::{Came, Pulls};
use token::Lent;

/// How long giving back what was not sent may take when the pipeline stops.
const GIVE_BACK_WITHIN: Duration = Duration::from_secs(2);

/// Messages of a JetStream stream, shared by all who receive from the same durable consumer.
///
/// No more is asked of the server than the pipeline has room for. Every message is settled by
/// itself, and the server confirms it; work that takes long is reported as going on, so that
/// the message is not given to somebody else meanwhile. What is not settled when a process
/// dies is delivered again after `ack_wait`: at least once.
///
/// ```no_run
/// use towpath::prelude::*;
/// use towpath_nats::JetStreamSource;
///
/// # async fn run() -> Result<(), BoxError> {
/// let orders = JetStreamSource::pull("nats://localhost:4222", "ORDERS", "enricher")?;
/// let report = Flow::from(Source::new("orders", orders))
///     .process(Processor::new("show", |order: towpath_nats::JetStreamMessage| async move {
///         println!("{}: {} bytes", order.subject, order.payload.len());
///         Ok::<_, BoxError>(())
///     }))
///     .acknowledge()
///     .run()
///     .await?;
/// # Ok(())
/// # }
/// ```
pub struct JetStreamSource {
    options: JetStreamSourceOptions,
    stream: Arc<str>,
    connection: Arc<Connection>,
    leases: Leases<Lent>,
    pulls: Option<Pulls>,
    /// How long the server waits for outcomes.
    ack_wait: Duration,
    /// Received, and not pushed yet.
    held: VecDeque<(JetStreamMessage, Origin, JetStreamToken)>,
    lag: Lag,
    /// Whether the last call has failed.
    is_lost: bool,
    /// How many messages wait for each consumer.
    pending: Vec<u64>,
}

/// What waiting for messages came to.
enum Fetched {
    /// Some are there.
    Some,
    /// The server is there again, and whoever knows that it was lost should know that too,
    /// before there is a message.
    FoundAgain,
}

impl JetStreamSource {
    /// A source with these options. Nothing is connected before the pipeline runs.
    ///
    /// # Errors
    /// Fails with everything that is wrong with the options.
    pub fn new(options: JetStreamSourceOptions) -> Result<Self, InvalidOptions> {
        options.validate()?;
        Ok(Self {
            connection: Arc::new(Connection::new(options.connection.clone())),
            stream: options.stream.as_str().into(),
            leases: Leases::new(options.hold_at_most),
            pulls: None,
            ack_wait: options.ack_wait,
            held: VecDeque::new(),
            lag: Lag::default(),
            is_lost: false,
            pending: Vec::new(),
            options,
        })
    }

    /// A source with the defaults, for a server, a stream and a durable consumer.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn pull(
        connection: impl Into<NatsOptions>,
        stream: impl Into<String>,
        consumer: impl Into<String>,
    ) -> Result<Self, InvalidOptions> {
        Self::new(JetStreamSourceOptions::new(connection, stream, consumer))
    }

    /// Receives until something is there to be pushed.
    async fn fetch(&mut self, room: usize) -> Result<Fetched, NatsError> {
        self.bind().await?;
        if mem::take(&mut self.is_lost) {
            return Ok(Fetched::FoundAgain);
        }
        self.with_pulls(Pulls::resume);
        loop {
            self.take_all()?;
            if !self.held.is_empty() {
                return Ok(Fetched::Some);
            }
            let Some(pulls) = &mut self.pulls else {
                return Ok(Fetched::FoundAgain);
            };
            pulls.ask_for(room).await?;
            let came = pulls.wait().await?;
            self.keep(came);
        }
    }

    /// Finds the consumers, unless it has them on a connection that is there.
    async fn bind(&mut self) -> Result<(), NatsError> {
        let live = self.connection.live().await?;
        let bound = self.pulls.as_ref();
        if bound.is_some_and(|pulls| pulls.live().is_same(&live)) {
            return Ok(());
        }
        self.unbind();
        let bound = bind::bind(&live, &self.options).await?;
        let stream = &self.options.stream;
        let pulls = Pulls::open(live, stream, bound.names, bound.limits).await?;
        self.ack_wait = bound.ack_wait;
        self.pending = bound.pending;
        self.pulls = Some(pulls);
        Ok(())
    }

    /// Gives the subscription up, and keeps what has come over it.
    fn unbind(&mut self) {
        // An error is of the connection that is given up.
        let _is_lost = self.take_all();
        self.pulls = None;
    }

    fn take_all(&mut self) -> Result<(), NatsError> {
        while let Some(came) = self.pulls.as_mut().map(Pulls::take).transpose()?.flatten() {
            self.keep(came);
        }
        self.lag.set(self.pending.iter().sum());
        Ok(())
    }

    fn with_pulls(&mut self, act: impl FnOnce(&mut Pulls)) {
        if let Some(pulls) = &mut self.pulls {
            act(pulls);
        }
    }

    fn keep(&mut self, came: Came) {
        let Came::Message(place, message) = came else {
            return;
        };
        let since = self
            .pulls
            .as_ref()
            .map_or_else(Instant::now, Pulls::looked_at);
        if let Some((message, origin, lent, pending)) = self.read(place, message, since) {
            if let Some(of_consumer) = self.pending.get_mut(place) {
                *of_consumer = pending;
            }
            if !lent.has_run_out() {
                let token = JetStreamToken(self.leases.hold(lent));
                self.held.push_back((message, origin, token));
            }
        }
    }

    /// What a message is and where it came from; `None` where it is none of JetStream's.
    fn read(
        &self,
        place: usize,
        message: Message,
        since: Instant,
    ) -> Option<(JetStreamMessage, Origin, Lent, u64)> {
        let reply = message.reply?;
        let info = DeliveryInfo::read(&reply)?;
        let headers = headers::received(message.headers.as_ref());
        let partition = u32::try_from(place).unwrap_or(u32::MAX);
        let origin = Origin::default()
            .identified(format!("{}:{}", self.stream, info.stream_sequence))
            .in_partition(partition, info.stream_sequence)
            .attempt(attempt_of(&headers, info.delivered))
            .headers(headers.clone());
        let pending = info.pending;
        let payload = JetStreamMessage {
            subject: message.subject.to_string(),
            payload: message.payload,
            headers,
            stream: self.stream.clone(),
            stream_sequence: info.stream_sequence,
            delivered: info.delivered,
            published: info.published,
        };
        let lent = Lent::new(reply, self.ack_wait, since);
        Some((payload, origin, lent, pending))
    }

    /// Pushes what is held, as far as there is room; whether anything was.
    fn push(&mut self, intake: &mut Intake<JetStreamMessage, JetStreamToken>) -> bool {
        let before = intake.len();
        while intake.room() > 0 {
            let Some((message, origin, token)) = self.held.pop_front() else {
                break;
            };
            // Whoever has it now works on it; so nobody does twice.
            if !token.0.key().has_run_out() {
                intake.push(Delivery::new(message, token).with_origin(origin));
            }
        }
        intake.len() > before
    }

    /// After an error the next call begins anew, with what has come before it.
    fn begin_anew(&mut self, error: &NatsError) {
        let silent = matches!(error, NatsError::NoAnswer { .. });
        if let Some(pulls) = self.pulls.as_ref().filter(|_| silent) {
            self.connection.leave(pulls.live());
        }
        self.unbind();
        self.is_lost = true;
    }
}

impl Producer for JetStreamSource {
    type Payload = JetStreamMessage;
    type Acknowledger = JetStreamAcknowledger;

    async fn receive(
        &mut self,
        intake: &mut Intake<JetStreamMessage, JetStreamToken>,
    ) -> Result<Received, BoxError> {
        // What has run out while it was held is not pushed: then it is asked for more.
        while intake.room() > 0 && !self.push(intake) {
            match self.fetch(intake.room()).await {
                Ok(Fetched::Some) => {}
                Ok(Fetched::FoundAgain) => break,
                Err(error) => {
                    self.begin_anew(&error);
                    self.push(intake);
                    return Err(error.into());
                }
            }
        }
        Ok(Received::More)
    }

    /// Gives back what was received and not pushed, so that others have it at once.
    async fn drain(
        &mut self,
        _intake: &mut Intake<JetStreamMessage, JetStreamToken>,
    ) -> Result<(), BoxError> {
        let Some(pulls) = self.pulls.take() else {
            return Ok(());
        };
        let live = pulls.live().clone();
        let unsent = self.held.drain(..).map(|(_, _, token)| token.0);
        let unsent = unsent.filter(|held| !held.key().has_run_out());
        let unsent: Vec<_> = unsent.map(|held| held.key().reply().clone()).collect();
        // What cannot be given back in time comes again after `ack_wait`.
        let _in_time = timeout(GIVE_BACK_WITHIN, give_back(&live, unsent, pulls)).await;
        Ok(())
    }

    fn acknowledger(&mut self) -> Option<JetStreamAcknowledger> {
        let (connection, leases) = (self.connection.clone(), self.leases.clone());
        Some(JetStreamAcknowledger::new(
            &self.options,
            connection,
            leases,
        ))
    }

    fn redelivery(&self) -> Redelivery {
        Redelivery::Durable
    }

    fn peer(&self) -> Peer {
        Peer::new("nats").destination(self.options.stream.as_str())
    }

    fn lag(&self) -> Option<Lag> {
        Some(self.lag.clone())
    }
}

async fn give_back(live: &Live, unsent: Vec<Subject>, mut pulls: Pulls) {
    for reply in unsent {
        nack(live, reply).await;
    }
    pulls.end().await;
    while let Some(message) = pulls.rest().await {
        if let (None, Some(reply)) = (message.status, message.reply) {
            nack(live, reply).await;
        }
    }
    let _is_lost = live.client.flush().await;
}

async fn nack(live: &Live, reply: Subject) {
    // On a connection that was lost it cannot be said; the message comes again all the same.
    let _is_lost = live.client.publish(reply, AckKind::Nak(None).into()).await;
}

impl fmt::Debug for JetStreamSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JetStreamSource")
            .field("connection", &self.connection)
            .field("stream", &self.options.stream)
            .field("consumer", &self.options.consumer)
            .field("held", &self.held.len())
            .finish_non_exhaustive()
    }
}
