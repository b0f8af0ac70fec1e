//! The rules that every source and sink keeps to, on files in a folder of their own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "conformance/client.rs"]
mod client;

mod queue {
    //! A queue as source and sink.

    use std::time::Duration;

    use tempfile::TempDir;
    use towpath::BoxError;
    use towpath_sqlite::{
        Entry, QueueOptions, QueueSink, Queued, SourceOptions, SqliteQueue, SqliteSource, Sync,
    };
    use towpath_test::conformance::{
        BothRig, Order, Parcel, Rig, SinkPromises, SinkRig, SourcePromises, SourceRig,
    };

    use crate::client;

    const LEASE: Duration = Duration::from_secs(2);
    const LARGEST: usize = 512 * 1024;

    struct Queues(TempDir);

    #[expect(clippy::unnecessary_wraps, reason = "what the suite asks for")]
    fn rig() -> Option<Queues> {
        Some(Queues(client::folder()))
    }

    fn options() -> QueueOptions {
        QueueOptions::default()
            .sync(Sync::Normal)
            .create(false)
            .max_message_bytes(LARGEST as u64 + 1024)
    }

    impl Rig for Queues {
        async fn place(&self) -> Result<String, BoxError> {
            let path = client::fresh(&self.0);
            SqliteQueue::open(&path, options().create(true))?;
            Ok(path)
        }

        fn has_server(&self) -> bool {
            false
        }
    }

    impl SourceRig for Queues {
        type Source = SqliteSource;

        fn promises(&self) -> SourcePromises {
            SourcePromises::new()
                .lease(LEASE)
                .comes_again_within(LEASE * 2)
                .order(Order::Total)
                .largest(LARGEST)
        }

        fn source(&self, place: &str, _member: usize) -> SqliteSource {
            let options = SourceOptions::new(place).queue(options()).lease(LEASE);
            SqliteSource::new(options).unwrap()
        }

        fn parcel(queued: &Queued) -> Parcel {
            let key = queued.key.clone().unwrap_or_default();
            Parcel::new(key, queued.payload.to_vec())
        }

        async fn put(&self, place: &str, parcels: Vec<Parcel>) -> Result<(), BoxError> {
            client::put(place, &parcels)
        }

        async fn outstanding(&self, place: &str) -> Result<u64, BoxError> {
            client::count(place, "SELECT count(*) FROM towpath_message")
        }

        async fn claimed(&self, place: &str) -> Result<Option<u64>, BoxError> {
            let leased = "SELECT count(*) FROM towpath_message WHERE lease > 0";
            client::count(place, leased).map(Some)
        }
    }

    impl SinkRig for Queues {
        type Item = Entry;
        type Sink = QueueSink<Entry>;

        fn promises(&self) -> SinkPromises {
            let promises = SinkPromises::new().order(Order::Total).largest(LARGEST);
            promises.too_large(LARGEST + 4096)
        }

        fn item(parcel: Parcel) -> Entry {
            let headers = parcel.headers.into_iter().collect();
            Entry::new(parcel.payload).key(parcel.key).headers(headers)
        }

        fn sink(&self, place: &str) -> QueueSink<Entry> {
            QueueSink::new(place, options(), Entry::clone)
                .unwrap()
                .deduplicated()
        }

        async fn stored(&self, place: &str) -> Result<Vec<Parcel>, BoxError> {
            client::queued(place)
        }
    }

    impl BothRig for Queues {}

    towpath_test::conformance_source!(rig);
    towpath_test::conformance_sink!(rig);
    towpath_test::conformance_both!(rig);
}

mod table {
    //! A table as a sink, by a statement that is run once for each message.

    use tempfile::TempDir;
    use towpath::BoxError;
    use towpath_sqlite::{Bind, SqliteSink};
    use towpath_test::conformance::{Order, Parcel, Rig, SinkPromises, SinkRig};

    use crate::client;

    const LARGEST: usize = 512 * 1024;

    struct Tables(TempDir);

    #[expect(clippy::unnecessary_wraps, reason = "what the suite asks for")]
    fn rig() -> Option<Tables> {
        Some(Tables(client::folder()))
    }

    fn bind(parcel: &Parcel, bind: &mut Bind<'_>) {
        let headers: Vec<_> = parcel.headers.clone();
        bind.set("key", &parcel.key)
            .set("payload", &parcel.payload[..])
            .set("headers", serde_json::to_string(&headers).unwrap());
    }

    impl Rig for Tables {
        async fn place(&self) -> Result<String, BoxError> {
            let path = client::fresh(&self.0);
            client::make_table(&path, LARGEST)?;
            Ok(path)
        }

        fn has_server(&self) -> bool {
            false
        }
    }

    impl SinkRig for Tables {
        type Item = Parcel;
        type Sink = SqliteSink<Parcel>;

        fn promises(&self) -> SinkPromises {
            let promises = SinkPromises::new().order(Order::Total).largest(LARGEST);
            promises.without_headers().too_large(LARGEST + 1)
        }

        fn item(parcel: Parcel) -> Parcel {
            parcel
        }

        fn refused(&self) -> Option<Parcel> {
            Some(Parcel::new("forbidden", ""))
        }

        fn sink(&self, place: &str) -> SqliteSink<Parcel> {
            let insert = "INSERT INTO parcels (key, payload, headers)
                          VALUES (:key, :payload, :headers)";
            SqliteSink::statement(place, insert, bind)
                .unwrap()
                .once("applied")
        }

        async fn stored(&self, place: &str) -> Result<Vec<Parcel>, BoxError> {
            client::parcels(place)
        }
    }

    towpath_test::conformance_sink!(rig);
}
