//! JetStream to nothing: messages are received and confirmed.
//!
//! The loops ask for batches of the same size. They never wait for the confirmations of one
//! batch before they ask for the next.

use std::hint::black_box;
use std::sync::Arc;

use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::stream::{Config, Stream};
use async_nats::jetstream::{self, Context, Message};
use async_nats::{Client, ConnectOptions};
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::runtime::Runtime;
use towpath::nats::{JetStreamSource, JetStreamSourceOptions};
use towpath::{Flow, Source};

use super::contest::{Contender, Contest};
use super::stopwatch::Stopwatch;
use super::timed::Timed;
use super::{Failed, PAYLOAD, Plan, run, unique};
use crate::measure::clock::Spent;
use crate::runtime::on_worker;

/// The names of the contests.
pub const NAMES: [&str; 3] = ["jetstream", "jetstream-1000", "jetstream-unconfirmed"];

/// How many acknowledgements wait for their confirmations at once; ours are as many.
const WINDOW: usize = 256;
/// What nobody has acknowledged, at most; as ours.
const MAX_ACK_PENDING: i64 = 10_000;
/// The stream of the contests.
const STREAM: &str = "BENCH";

/// A stream with as many messages as a run has.
#[derive(Debug, Clone)]
pub struct Place {
    url: String,
    messages: u32,
}

/// What both sides are told.
#[derive(Debug, Clone, Copy)]
struct Terms {
    batch: usize,
    confirm: bool,
}

/// How a loop acknowledges.
#[derive(Debug, Clone, Copy)]
enum Ack {
    /// As the client does it: a subscription for each confirmation.
    Double,
    /// By a request: all confirmations come to one subscription.
    Request,
    /// Without a confirmation.
    Single,
}

/// How a loop asks for messages.
#[derive(Debug, Clone, Copy)]
enum Pull {
    /// One batch after the other.
    Fetch,
    /// The client asks for more before it is wanted.
    Ahead,
}

impl Place {
    /// Fills the stream.
    ///
    /// # Errors
    /// Fails when the server does.
    pub fn filled(runtime: &Runtime, url: String, messages: u32) -> Result<Self, Failed> {
        on_worker(runtime, fill(url.clone(), STREAM, messages))?;
        Ok(Self { url, messages })
    }

    /// All contests on this server.
    pub fn contests(&self, plan: &Plan) -> Vec<Contest<'static>> {
        let terms = |batch, confirm| Terms { batch, confirm };
        let all = [
            self.contest(
                NAMES[0],
                "each message confirmed, batches of 64",
                terms(64, true),
            ),
            self.contest(
                NAMES[1],
                "each message confirmed, batches of 1000",
                terms(1000, true),
            ),
            self.contest(
                NAMES[2],
                "acknowledged without confirmation, batches of 64",
                terms(64, false),
            ),
        ];
        all.into_iter()
            .filter(|contest| contest.name.starts_with(&plan.only))
            .collect()
    }

    fn contest(&self, name: &str, title: &str, terms: Terms) -> Contest<'static> {
        let hand = |name, pull, ack| self.by_hand(name, terms, pull, ack);
        let peers = if terms.confirm {
            [
                hand("by-hand", Pull::Fetch, Ack::Double).goal(0.9),
                hand("by-hand-request", Pull::Fetch, Ack::Request),
            ]
        } else {
            [
                hand("by-hand", Pull::Fetch, Ack::Single).goal(0.9),
                hand("by-hand-ahead", Pull::Ahead, Ack::Single),
            ]
        };
        let place = self.clone();
        let ours = Contender::towpath(move |runtime| place.towpath(runtime, terms));
        Contest {
            name: name.to_owned(),
            title: title.to_owned(),
            messages: self.messages,
            contenders: std::iter::once(ours).chain(peers).collect(),
        }
    }

    fn towpath(&self, runtime: &Runtime, terms: Terms) -> Result<Spent, Failed> {
        let options = JetStreamSourceOptions::new(self.url.as_str(), STREAM, unique("ours"))
            .confirm(terms.confirm);
        let watch = Stopwatch::of(self.messages);
        let source = Timed::new(JetStreamSource::new(options)?, self.messages, &watch);
        let flow = Flow::from(Source::new("jetstream", source));
        let pipeline = flow.acknowledge().max_demand(terms.batch);
        run(runtime, pipeline, self.messages)?;
        Ok(watch.spent()?)
    }

    fn by_hand(
        &self,
        name: &'static str,
        terms: Terms,
        pull: Pull,
        ack: Ack,
    ) -> Contender<'static> {
        let place = self.clone();
        Contender::peer(name, move |runtime| {
            let watch = Stopwatch::of(place.messages);
            let work = by_hand(place.url.clone(), terms.batch, pull, ack, watch.clone());
            on_worker(runtime, work)?;
            Ok(watch.spent()?)
        })
    }
}

async fn by_hand(
    url: String,
    batch: usize,
    pull: Pull,
    ack: Ack,
    watch: Arc<Stopwatch>,
) -> Result<(), Failed> {
    let (client, stream) = connect(&url).await?;
    let consumer = consumer(&stream).await?;
    match pull {
        Pull::Fetch => {
            let batches = stream::unfold(consumer, move |consumer| async move {
                let fetched = consumer.fetch().max_messages(batch).messages().await;
                Some((fetched.map_err(Failed::from), consumer))
            });
            acknowledge(batches.try_flatten().boxed(), &client, ack, &watch).await?;
        }
        Pull::Ahead => {
            let messages = consumer.stream().max_messages_per_batch(batch).messages();
            let messages = messages.await?.map_err(Failed::from);
            acknowledge(messages.boxed(), &client, ack, &watch).await?;
        }
    }
    Ok(client.flush().await?)
}

/// Acknowledges until none is left.
async fn acknowledge(
    messages: BoxStream<'static, Result<Message, Failed>>,
    client: &Client,
    ack: Ack,
    watch: &Stopwatch,
) -> Result<(), Failed> {
    let told = messages.map_ok(|message| async {
        watch.came();
        black_box(&message.payload);
        settle(message, client, ack).await
    });
    let told = told.try_buffer_unordered(WINDOW);
    let mut told = std::pin::pin!(told);
    while told.try_next().await?.is_some() {
        if watch.settled(1) == 0 {
            break;
        }
    }
    Ok(())
}

async fn settle(message: Message, client: &Client, ack: Ack) -> Result<(), Failed> {
    match ack {
        Ack::Double => message.double_ack().await,
        Ack::Single => message.ack().await,
        Ack::Request => {
            let reply = message
                .message
                .reply
                .ok_or("a message without a reply subject")?;
            client.request(reply, Bytes::from_static(b"+ACK")).await?;
            Ok(())
        }
    }
}

async fn connect(url: &str) -> Result<(Client, Stream), Failed> {
    let client = ConnectOptions::new().connect(url).await?;
    let stream = jetstream::new(client.clone()).get_stream(STREAM).await?;
    Ok((client, stream))
}

async fn consumer(stream: &Stream) -> Result<PullConsumer, Failed> {
    let config = pull::Config {
        durable_name: Some(unique("hand")),
        ack_policy: AckPolicy::Explicit,
        max_ack_pending: MAX_ACK_PENDING,
        ..pull::Config::default()
    };
    Ok(stream.create_consumer(config).await?)
}

/// Makes a stream in files, and publishes into it.
pub(super) async fn fill(url: String, name: &'static str, messages: u32) -> Result<(), Failed> {
    let context = jetstream::new(async_nats::connect(&url).await?);
    let config = Config {
        name: name.to_owned(),
        subjects: vec![name.to_lowercase()],
        ..Config::default()
    };
    context.create_stream(config).await?;
    publish(&context, name.to_lowercase(), messages).await
}

async fn publish(context: &Context, subject: String, messages: u32) -> Result<(), Failed> {
    let sent = stream::iter(0..messages).map(|_| async {
        let payload = Bytes::from_static(&PAYLOAD);
        let publishing = context.publish(subject.clone(), payload);
        Ok::<_, Failed>(publishing.await?.await?)
    });
    let mut confirmed = sent.buffer_unordered(1000);
    while confirmed.try_next().await?.is_some() {}
    Ok(())
}
