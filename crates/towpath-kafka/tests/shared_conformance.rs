//! The rules of connectors, with a real broker.

#[cfg(test)]
#[path = "support/client.rs"]
#[expect(dead_code, reason = "not every test looks at everything")]
mod client;

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use client::{Plain, committed, ends, put, stored};
use tokio::task::spawn_blocking;
use towpath::BoxError;
use towpath_kafka::{
    KafkaHeaders, KafkaRecord, KafkaSink, KafkaSinkOptions, KafkaSource, KafkaSourceOptions,
    Protocol, Record, Security,
};
use towpath_test::conformance::{
    BothRig, Group, Parcel, Rig, SinkPromises, SinkRig, SourcePromises, SourceRig,
};
use towpath_test_servers::{Kafka, or_not_run};

const USER: &str = "tester";
const PASSWORD: &str = "correct-horse-battery";
const GROUP: &str = "group";
const PARTITIONS: u32 = 4;
/// As short as it may be where the machine is busy.
const SESSION: Duration = Duration::from_secs(6);

towpath_test::conformance_source!(rig);
towpath_test::conformance_sink!(rig);
towpath_test::conformance_both!(rig);

fn rig() -> Option<KafkaRig> {
    let server = or_not_run(Kafka::with_user(USER, PASSWORD))?;
    Some(KafkaRig {
        brokers: server.brokers(),
        inside: server.address().to_string(),
        server: Mutex::new(server),
        places: AtomicU32::new(0),
    })
}

/// A broker of one's own; a place is a topic.
struct KafkaRig {
    brokers: String,
    /// Where nobody asks for a password.
    inside: String,
    server: Mutex<Kafka>,
    places: AtomicU32,
}

impl KafkaRig {
    fn server(&self) -> MutexGuard<'_, Kafka> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn security() -> Security {
    Security::plain(USER, PASSWORD).protocol(Protocol::SaslPlaintext)
}

impl Rig for KafkaRig {
    async fn place(&self) -> Result<String, BoxError> {
        let place = format!("place-{}", self.places.fetch_add(1, Relaxed));
        self.server().create_topic(&place, PARTITIONS);
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

impl SourceRig for KafkaRig {
    type Source = KafkaSource;

    fn promises(&self) -> SourcePromises {
        SourcePromises::new()
            .group(Group::Rebalances)
            .comes_again_within(2 * SESSION)
    }

    fn source(&self, place: &str, _member: usize) -> KafkaSource {
        let options = KafkaSourceOptions::new(&self.brokers, GROUP, [place])
            .session_timeout(SESSION)
            .revoke_deadline(Duration::from_secs(5))
            .socket_timeout(Duration::from_secs(5))
            .commit_every(Duration::from_millis(20))
            .security(security());
        KafkaSource::new(options).expect("the options are right")
    }

    fn parcel(record: &KafkaRecord) -> Parcel {
        parcel(record.key.as_deref(), record.as_ref(), &record.headers)
    }

    async fn put(&self, place: &str, parcels: Vec<Parcel>) -> Result<(), BoxError> {
        let (inside, place) = (self.inside.clone(), place.to_owned());
        let records: Vec<_> = parcels.into_iter().map(plain).collect();
        Ok(spawn_blocking(move || put(&inside, &place, &records)).await??)
    }

    async fn outstanding(&self, place: &str) -> Result<u64, BoxError> {
        let (inside, place) = (self.inside.clone(), place.to_owned());
        let count = move || -> Result<u64, BoxError> {
            let partitions = i32::try_from(PARTITIONS)?;
            let done = committed(&inside, GROUP, &place, partitions)?;
            let ends = ends(&inside, &place, partitions)?;
            let left = ends.iter().map(|(partition, (begin, end))| {
                let done = done.get(partition).unwrap_or(begin);
                u64::try_from(end - done).unwrap_or_default()
            });
            Ok(left.sum())
        };
        spawn_blocking(count).await?
    }
}

impl SinkRig for KafkaRig {
    type Item = Record;
    type Sink = KafkaSink;

    fn promises(&self) -> SinkPromises {
        SinkPromises::new().too_large(2_000_000)
    }

    fn item(parcel: Parcel) -> Record {
        let headers: KafkaHeaders = parcel.headers.into_iter().collect();
        Record::new(parcel.payload).key(parcel.key).headers(headers)
    }

    fn refused(&self) -> Option<Record> {
        Some(Record::new("x").partition(77))
    }

    fn sink(&self, place: &str) -> KafkaSink {
        let options = KafkaSinkOptions::new(&self.brokers)
            .topic(place)
            .socket_timeout(Duration::from_secs(5))
            .security(security());
        KafkaSink::new(options).expect("the options are right")
    }

    async fn stored(&self, place: &str) -> Result<Vec<Parcel>, BoxError> {
        let (inside, place) = (self.inside.clone(), place.to_owned());
        let partitions = i32::try_from(PARTITIONS)?;
        let look = move || stored(&inside, &place, partitions);
        let stored = spawn_blocking(look).await??;
        Ok(stored.into_iter().map(from_plain).collect())
    }
}

impl BothRig for KafkaRig {}

fn parcel(key: Option<&[u8]>, payload: &[u8], headers: &KafkaHeaders) -> Parcel {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let parcel = Parcel::new(text(key.unwrap_or_default()), payload);
    headers.iter().fold(parcel, |parcel, (name, value)| {
        parcel.with_header(name, text(value.unwrap_or_default()))
    })
}

/// The partition is for the key to decide.
fn plain(parcel: Parcel) -> Plain {
    let headers = parcel.headers.into_iter();
    Plain {
        partition: -1,
        key: Some(parcel.key.into_bytes()),
        payload: Some(parcel.payload),
        headers: headers
            .map(|(name, value)| (name, Some(value.into_bytes())))
            .collect(),
    }
}

fn from_plain(plain: Plain) -> Parcel {
    let headers = plain.headers.into_iter();
    let headers: KafkaHeaders = headers.map(|(n, v)| (n, v.unwrap_or_default())).collect();
    let payload = plain.payload.unwrap_or_default();
    parcel(plain.key.as_deref(), &payload, &headers)
}
