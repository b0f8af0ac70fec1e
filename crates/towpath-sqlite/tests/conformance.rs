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
        Entry, SqliteMessage, SqliteQueue, SqliteQueueOptions, SqliteQueueSink, SqliteSource,
        SqliteSourceOptions, Sync,
    };
    use towpath_test::conformance::{
        BothRig, Order, Parcel, Rig, SinkPromises, SinkRig, SourcePromises, SourceRig,
    };

    use crate::client;

    /// Longer than a busy machine stands still, with a third of it gone already.
    const LEASE: Duration = Duration::from_secs(5);
    const LARGEST: usize = 512 * 1024;

    pub(crate) struct Queues(TempDir);

    #[expect(clippy::unnecessary_wraps, reason = "what the suite asks for")]
    fn rig() -> Option<Queues> {
        Some(Queues::new())
    }

    impl Queues {
        pub(crate) fn new() -> Self {
            Self(client::folder())
        }
    }

    fn options() -> SqliteQueueOptions {
        SqliteQueueOptions::default()
            .sync(Sync::Normal)
            .busy_timeout(Duration::from_millis(500))
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
            let options = SqliteSourceOptions::new(place)
                .queue(options())
                .lease(LEASE);
            SqliteSource::new(options).unwrap()
        }

        fn parcel(queued: &SqliteMessage) -> Parcel {
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
        type Sink = SqliteQueueSink<Entry>;

        fn promises(&self) -> SinkPromises {
            let promises = SinkPromises::new().order(Order::Total).largest(LARGEST);
            promises.too_large(LARGEST + 4096)
        }

        fn item(parcel: Parcel) -> Entry {
            let headers = parcel.headers.into_iter().collect();
            Entry::new(parcel.payload).key(parcel.key).headers(headers)
        }

        fn sink(&self, place: &str) -> SqliteQueueSink<Entry> {
            SqliteQueueSink::new(place, options(), Entry::clone)
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

mod locked {
    //! Files that somebody else keeps locked: what comes closest to a server that is away.
    //!
    //! An idle source does not feel it, so that it cannot be asked to notice.

    use std::sync::{Mutex, PoisonError};

    use rusqlite::Connection;
    use towpath::BoxError;
    use towpath_sqlite::{Entry, SqliteMessage, SqliteQueueSink, SqliteSource};
    use towpath_test::conformance::{
        Parcel, Rig, SinkPromises, SinkRig, SinkRule, SourcePromises, SourceRig, SourceRule,
        check_sink, check_source,
    };

    use crate::{client, queue::Queues};

    struct Locked {
        queues: Queues,
        places: Mutex<Vec<String>>,
        locks: Mutex<Vec<Connection>>,
    }

    fn rig() -> Locked {
        Locked {
            queues: Queues::new(),
            places: Mutex::default(),
            locks: Mutex::default(),
        }
    }

    impl Locked {
        fn lock(&self) {
            let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
            let locks = places.iter().map(|place| client::lock(place));
            self.locks
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend(locks);
        }

        fn unlock(&self) {
            self.locks
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clear();
        }
    }

    impl Rig for Locked {
        async fn place(&self) -> Result<String, BoxError> {
            let place = self.queues.place().await?;
            let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
            places.push(place.clone());
            Ok(place)
        }

        fn kill(&self) {
            self.lock();
        }

        fn restart(&self) -> Result<(), BoxError> {
            self.unlock();
            Ok(())
        }

        fn freeze(&self) -> bool {
            self.lock();
            true
        }

        fn thaw(&self) {
            self.unlock();
        }
    }

    impl SourceRig for Locked {
        type Source = SqliteSource;

        fn promises(&self) -> SourcePromises {
            SourceRig::promises(&self.queues)
        }

        fn source(&self, place: &str, member: usize) -> SqliteSource {
            self.queues.source(place, member)
        }

        fn parcel(queued: &SqliteMessage) -> Parcel {
            Queues::parcel(queued)
        }

        async fn put(&self, place: &str, parcels: Vec<Parcel>) -> Result<(), BoxError> {
            self.queues.put(place, parcels).await
        }

        async fn outstanding(&self, place: &str) -> Result<u64, BoxError> {
            self.queues.outstanding(place).await
        }
    }

    impl SinkRig for Locked {
        type Item = Entry;
        type Sink = SqliteQueueSink<Entry>;

        fn promises(&self) -> SinkPromises {
            SinkRig::promises(&self.queues)
        }

        fn item(parcel: Parcel) -> Entry {
            Queues::item(parcel)
        }

        fn sink(&self, place: &str) -> SqliteQueueSink<Entry> {
            self.queues.sink(place)
        }

        async fn stored(&self, place: &str) -> Result<Vec<Parcel>, BoxError> {
            self.queues.stored(place).await
        }
    }

    macro_rules! tests {
        ($check:ident, $rules:ident: $($name:ident: $rule:ident,)*) => {
            $(#[test]
            fn $name() {
                if let Err(broken) = $check($rules::$rule, rig()) {
                    panic!("{broken}");
                }
            })*
        };
    }

    tests! { check_source, SourceRule:
        a_source_goes_on_when_its_file_is_unlocked: Reconnect,
        a_source_says_that_its_file_is_locked: Frozen,
        a_source_waits_for_a_file_that_is_locked_at_the_start: Absent,
    }

    tests! { check_sink, SinkRule:
        a_sink_goes_on_when_its_file_is_unlocked: Reconnect,
        a_sink_says_that_its_file_is_locked: Frozen,
        a_sink_waits_for_a_file_that_is_locked_at_the_start: Absent,
        a_sink_stops_in_time_while_its_file_is_locked: StopInTime,
        a_sink_does_next_to_nothing_while_its_file_is_locked: Quiet,
    }
}
