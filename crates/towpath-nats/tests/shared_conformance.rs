//! The rules of connectors, against a NATS server.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use async_nats::{HeaderMap, HeaderName, HeaderValue, jetstream};
use towpath::BoxError;
use towpath_nats::{
    JetStreamMessage, JetStreamSink, JetStreamSinkOptions, JetStreamSource, JetStreamSourceOptions,
    NatsOptions, Publish,
};
use towpath_test::conformance::{
    BothRig, Order, Parcel, Rig, SinkPromises, SinkRig, SourcePromises, SourceRig,
};
use towpath_test_servers::{Nats, or_not_run};

const PASSWORD: &str = "correct-horse-battery";
/// The consumer that all members of a group share.
const GROUP: &str = "group";
/// Longer than a busy machine stands still, with a third of it gone already.
const LEASE: Duration = Duration::from_secs(5);

towpath_test::conformance_source!(rig);
towpath_test::conformance_sink!(rig);
towpath_test::conformance_both!(rig);

fn rig() -> Option<NatsRig> {
    let server = or_not_run(Nats::with_user("tester", PASSWORD))?;
    Some(NatsRig {
        url: server.url(),
        server: Mutex::new(server),
        places: AtomicU32::new(0),
    })
}

/// A server of one's own; a place is a stream with the subjects `<place>.*`.
struct NatsRig {
    url: String,
    server: Mutex<Nats>,
    places: AtomicU32,
}

impl NatsRig {
    fn server(&self) -> MutexGuard<'_, Nats> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn options(&self) -> NatsOptions {
        NatsOptions::new(&self.url).answer_timeout(Duration::from_secs(5))
    }

    async fn jetstream(&self) -> Result<jetstream::Context, BoxError> {
        let options = async_nats::ConnectOptions::new()
            .user_and_password("tester".to_owned(), PASSWORD.to_owned());
        let address = self.server().address().to_string();
        Ok(jetstream::new(options.connect(address).await?))
    }
}

impl Rig for NatsRig {
    async fn place(&self) -> Result<String, BoxError> {
        let place = format!("place-{}", self.places.fetch_add(1, Relaxed));
        let config = jetstream::stream::Config {
            name: place.clone(),
            subjects: vec![format!("{place}.*")],
            ..jetstream::stream::Config::default()
        };
        self.jetstream().await?.create_stream(config).await?;
        Ok(place)
    }

    fn kill(&self) {
        self.server().kill();
    }

    fn restart(&self) -> Result<(), BoxError> {
        Ok(self.server().restart()?)
    }

    fn freeze(&self) -> bool {
        self.server().freeze();
        true
    }

    fn thaw(&self) {
        self.server().thaw();
    }

    fn secrets(&self) -> Vec<String> {
        vec![PASSWORD.to_owned()]
    }
}

impl SourceRig for NatsRig {
    type Source = JetStreamSource;

    fn promises(&self) -> SourcePromises {
        SourcePromises::new()
            .lease(LEASE)
            .comes_again_within(2 * LEASE)
            .order(Order::Total)
    }

    fn source(&self, place: &str, _member: usize) -> JetStreamSource {
        let options = JetStreamSourceOptions::new(self.options(), place, GROUP).ack_wait(LEASE);
        JetStreamSource::new(options).expect("the options are right")
    }

    fn parcel(payload: &JetStreamMessage) -> Parcel {
        parcel(&payload.subject, &payload.payload, payload.headers.iter())
    }

    async fn put(&self, place: &str, parcels: Vec<Parcel>) -> Result<(), BoxError> {
        let jetstream = self.jetstream().await?;
        let mut confirmations = Vec::new();
        for parcel in parcels {
            let subject = format!("{place}.{}", parcel.key);
            let mut headers = HeaderMap::new();
            for (name, value) in parcel.headers {
                let name: HeaderName = name.parse()?;
                headers.append(name, value.parse::<HeaderValue>()?);
            }
            let payload = parcel.payload.into();
            let sent = jetstream
                .publish_with_headers(subject, headers, payload)
                .await?;
            confirmations.push(sent);
        }
        for confirmation in confirmations {
            confirmation.await?;
        }
        Ok(())
    }

    async fn outstanding(&self, place: &str) -> Result<u64, BoxError> {
        let stream = self.jetstream().await?.get_stream(place).await?;
        match stream.consumer_info(GROUP).await {
            Ok(info) => Ok(info.num_pending + info.num_ack_pending as u64),
            Err(_) => Ok(stream.cached_info().state.messages),
        }
    }

    async fn claimed(&self, place: &str) -> Result<Option<u64>, BoxError> {
        let stream = self.jetstream().await?.get_stream(place).await?;
        let info = stream.consumer_info(GROUP).await?;
        Ok(Some(info.num_ack_pending as u64))
    }
}

impl SinkRig for NatsRig {
    type Item = Publish;
    type Sink = JetStreamSink;

    fn promises(&self) -> SinkPromises {
        SinkPromises::new().order(Order::Total).too_large(2 << 20)
    }

    fn item(parcel: Parcel) -> Publish {
        let headers = parcel.headers.iter().map(|(n, v)| (n.as_str(), v.as_str()));
        Publish::new(parcel.key, parcel.payload).headers(headers.collect())
    }

    fn refused(&self) -> Option<Publish> {
        Some(Publish::new("refused", "").header("Nats-Expected-Last-Sequence", "1000000"))
    }

    fn sink(&self, place: &str) -> JetStreamSink {
        let options = JetStreamSinkOptions::new(self.options()).subject_prefix(place);
        JetStreamSink::new(options).expect("the options are right")
    }

    async fn stored(&self, place: &str) -> Result<Vec<Parcel>, BoxError> {
        let stream = self.jetstream().await?.get_stream(place).await?;
        let mut parcels = Vec::new();
        for sequence in 1..=stream.cached_info().state.last_sequence {
            let message = stream.get_raw_message(sequence).await?;
            let headers = message.headers.iter().flat_map(|(name, values)| {
                let name: &str = name.as_ref();
                values.iter().map(move |value| (name, value.as_str()))
            });
            parcels.push(parcel(&message.subject, &message.payload, headers));
        }
        Ok(parcels)
    }
}

impl BothRig for NatsRig {}

fn parcel<'a>(
    subject: &str,
    payload: &[u8],
    headers: impl Iterator<Item = (&'a str, &'a str)>,
) -> Parcel {
    let key = subject.rsplit('.').next().unwrap_or_default();
    let own = headers.filter(|(name, _)| !name.starts_with("Nats-"));
    own.fold(Parcel::new(key, payload), |parcel, (name, value)| {
        parcel.with_header(name, value)
    })
}
