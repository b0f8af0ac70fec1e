//! A server with a stream, and a client that has nothing to do with the connector.

use std::time::Duration;

use async_nats::{
    Subscriber,
    jetstream::{self, consumer::Info, stream},
};
use tokio::{task::block_in_place, time::sleep};
use towpath_nats::{JetStreamSourceOptions, NatsOptions};
use towpath_test_servers::{Nats, or_not_run};

pub(crate) const STREAM: &str = "ORDERS";
pub(crate) const GROUP: &str = "workers";

/// A server, and a client of its own.
pub(crate) struct Server {
    pub(crate) nats: Nats,
    pub(crate) jetstream: jetstream::Context,
}

impl Server {
    /// With the stream `ORDERS` of the subjects `orders.>`.
    pub(crate) async fn start() -> Option<Self> {
        let server = Self::empty().await?;
        server.stream(stream_config()).await;
        Some(server)
    }

    /// Without any stream.
    pub(crate) async fn empty() -> Option<Self> {
        let nats = block_in_place(|| or_not_run(Nats::start()))?;
        let client = async_nats::connect(nats.url()).await.unwrap();
        let jetstream = jetstream::new(client);
        Some(Self { nats, jetstream })
    }

    pub(crate) async fn stream(&self, config: stream::Config) {
        self.jetstream.create_stream(config).await.unwrap();
    }

    pub(crate) fn connection(&self) -> NatsOptions {
        options(&self.nats.url())
    }

    pub(crate) fn source(&self) -> JetStreamSourceOptions {
        JetStreamSourceOptions::new(self.connection(), STREAM, GROUP)
    }

    /// Publishes the numbers as texts, and waits until the stream has them.
    pub(crate) async fn put(&self, subject: &str, numbers: std::ops::Range<usize>) {
        for number in numbers {
            let payload = number.to_string().into();
            let sent = self.jetstream.publish(subject.to_owned(), payload).await;
            sent.unwrap().await.unwrap();
        }
    }

    pub(crate) async fn consumer(&self, name: &str) -> Info {
        let stream = self.jetstream.get_stream(STREAM).await.unwrap();
        stream.consumer_info(name).await.unwrap()
    }

    /// The requests for messages that anybody makes from now on.
    pub(crate) async fn requests(&self) -> Subscriber {
        let client = self.jetstream.client();
        let requests = client
            .subscribe("$JS.API.CONSUMER.MSG.NEXT.>")
            .await
            .unwrap();
        client.flush().await.unwrap();
        requests
    }

    /// How many messages the stream has, and their subjects and payloads.
    pub(crate) async fn stored(&self) -> Vec<(String, String)> {
        let stream = self.jetstream.get_stream(STREAM).await.unwrap();
        let mut stored = Vec::new();
        for sequence in 1..=stream.cached_info().state.last_sequence {
            let message = stream.get_raw_message(sequence).await.unwrap();
            let payload = String::from_utf8_lossy(&message.payload).into_owned();
            stored.push((message.subject.to_string(), payload));
        }
        stored
    }
}

/// Impatient enough for a test, and patient enough for a machine that stands still for a moment.
pub(crate) fn options(url: &str) -> NatsOptions {
    NatsOptions::new(url)
        .connect_timeout(Duration::from_secs(5))
        .answer_timeout(Duration::from_secs(5))
}

pub(crate) fn stream_config() -> stream::Config {
    stream::Config {
        name: STREAM.to_owned(),
        subjects: vec!["orders.>".to_owned()],
        ..stream::Config::default()
    }
}

/// Looks again and again until it holds; a minute is enough for anything.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..3000 {
        if holds().await {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("not within a minute: {what}");
}
