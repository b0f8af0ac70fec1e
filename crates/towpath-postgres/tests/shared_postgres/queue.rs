//! Putting messages into a queue.

use std::time::Duration;

use tokio::time::Instant;
use towpath::{Headers, core::Producer};
use towpath_postgres::{
    Entry, PostgresQueue, PostgresQueueOptions, PostgresSource, PostgresSourceOptions, Table,
    queue_schema,
};

use crate::{
    place::{PATIENCE, Place},
    take::{take, taken},
};

pub(crate) async fn queue(place: &Place) -> PostgresQueue {
    let options = PostgresQueueOptions::new(place.server(), place.table("jobs"));
    let mut queue = PostgresQueue::new(options).unwrap();
    queue.create().await.unwrap();
    queue
}

#[tokio::test]
async fn ids_go_up_in_the_order_of_the_messages() {
    let Some(place) = Place::new().await else {
        return;
    };
    let mut queue = queue(&place).await;
    let first = queue.enqueue("first").await.unwrap();
    let many = queue
        .enqueue_many((0..2_500).map(|n| n.to_string()))
        .await
        .unwrap();
    let expected: Vec<_> = (first + 1..=first + 2_500).collect();
    assert_eq!(many, expected);
    let in_order = "SELECT count(*) FROM {s}.jobs \
        WHERE id > 1 AND convert_from(payload, 'UTF8')::bigint = id - 2";
    assert_eq!(place.one(in_order).await, "2500");
    assert!(
        queue
            .enqueue_many(Vec::<Entry>::new())
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_message_comes_out_as_it_was_put_in() {
    let Some(place) = Place::new().await else {
        return;
    };
    let mut queue = queue(&place).await;
    let headers: Headers = [("tenant", "a\0\"b"), ("ä", "")].into_iter().collect();
    let bytes: Vec<u8> = (0..=255).collect();
    let full = Entry::new(bytes.clone()).key("k").headers(headers.clone());
    queue.enqueue(full).await.unwrap();
    queue.enqueue(Entry::default()).await.unwrap();
    let options = PostgresSourceOptions::new(place.server(), place.table("jobs"));
    let mut source = PostgresSource::new(options).unwrap();
    let came = take(&mut source, 10).await;
    let [(full, _, origin), (empty, _, nothing)] = &came[..] else {
        panic!("{came:?}");
    };
    assert_eq!(
        (&full.payload[..], full.key.as_deref()),
        (&bytes[..], Some("k"))
    );
    assert_eq!(origin.headers, headers);
    assert_eq!((&empty.payload[..], empty.key.as_deref()), (&b""[..], None));
    assert!(nothing.headers.is_empty());
    assert_ne!(origin.identity, nothing.identity);
    assert_eq!(origin.position.unwrap().offset, 1);
}

#[tokio::test]
async fn a_message_of_a_transaction_is_there_when_that_is_committed_and_not_before() {
    let Some(mut place) = Place::new().await else {
        return;
    };
    place.sql("CREATE TABLE {s}.orders (id bigint)").await;
    let queue = queue(&place).await;
    let schema = place.schema().to_owned();
    let order = format!("INSERT INTO {schema}.orders VALUES (7)");
    let transaction = place.client().transaction().await.unwrap();
    transaction.batch_execute(&order).await.unwrap();
    queue.enqueue_in(&transaction, ["packed"]).await.unwrap();
    transaction.rollback().await.unwrap();
    let both = "SELECT (SELECT count(*) FROM {s}.jobs), (SELECT count(*) FROM {s}.orders)";
    assert_eq!(place.one(both).await, "0|0");
    let transaction = place.client().transaction().await.unwrap();
    transaction.batch_execute(&order).await.unwrap();
    queue.enqueue_in(&transaction, ["packed"]).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(place.one(both).await, "1|1");
}

#[tokio::test]
async fn whoever_waits_is_woken_long_before_it_would_look_again() {
    let Some(place) = Place::new().await else {
        return;
    };
    let mut queue = queue(&place).await;
    let options =
        PostgresSourceOptions::new(place.server(), place.table("jobs")).poll_interval(2 * PATIENCE);
    let mut source = PostgresSource::new(options).unwrap();
    let begun = Instant::now();
    let enqueued = async {
        place
            .wait_for(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = '{s}' \
            AND state = 'idle' AND query LIKE '%min(lease_until)%'",
                "1",
            )
            .await;
        queue.enqueue("wake up").await.unwrap();
    };
    let (came, ()) = tokio::join!(take(&mut source, 1), enqueued);
    assert_eq!(taken(&came), ["wake up"]);
    assert!(begun.elapsed() < PATIENCE);
}

#[tokio::test]
async fn without_notifications_messages_are_found_all_the_same() {
    let Some(place) = Place::new().await else {
        return;
    };
    queue(&place).await;
    let options = PostgresQueueOptions::new(place.server(), place.table("jobs")).notify(false);
    let mut queue = PostgresQueue::new(options).unwrap();
    let options = PostgresSourceOptions::new(place.server(), place.table("jobs"))
        .poll_interval(Duration::from_millis(20))
        .listen(false);
    let mut source = PostgresSource::new(options).unwrap();
    let enqueued = async { queue.enqueue("quiet").await.unwrap() };
    let (came, _) = tokio::join!(take(&mut source, 1), enqueued);
    assert_eq!(taken(&came), ["quiet"]);
}

#[tokio::test]
async fn many_that_make_the_same_table_at_once_do_not_get_in_each_others_way() {
    let Some(place) = Place::new().await else {
        return;
    };
    let options = PostgresQueueOptions::new(place.server(), place.table("Jobs; \"quoted\""));
    let queue = PostgresQueue::new(options).unwrap();
    let makers = (0..8).map(|_| {
        let mut queue = queue.clone();
        async move { queue.create().await }
    });
    let made = futures_util::future::join_all(makers).await;
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    let mut queue = queue.clone();
    assert_eq!(queue.enqueue("here").await.unwrap(), 1);
}

#[tokio::test]
async fn what_the_server_refuses_is_told_and_the_queue_works_on() {
    let Some(place) = Place::new().await else {
        return;
    };
    let mut queue = queue(&place).await;
    let refused = queue
        .enqueue_many([Entry::new("a"), Entry::new("b").key("k\0")])
        .await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.sqlstate(), Some("22021"), "{refused}");
    assert_eq!(place.one("SELECT count(*) FROM {s}.jobs").await, "0");
    queue.enqueue("c").await.unwrap();

    let options = PostgresQueueOptions::new(place.server(), place.table("missing"));
    let missing = PostgresQueue::new(options)
        .unwrap()
        .enqueue("a")
        .await
        .unwrap_err();
    assert_eq!(missing.sqlstate(), Some("42P01"));
    assert!(
        missing.to_string().ends_with("look at `table`"),
        "{missing}"
    );
}

#[tokio::test]
async fn a_call_that_is_dropped_leaves_the_queue_of_use() {
    let Some(place) = Place::new().await else {
        return;
    };
    let mut queue = queue(&place).await;
    place.sql("CREATE FUNCTION {s}.slow() RETURNS trigger LANGUAGE plpgsql AS \
        'BEGIN IF octet_length(NEW.payload) = 4 THEN PERFORM pg_sleep(60); END IF; RETURN NEW; END'; \
        CREATE TRIGGER slow BEFORE INSERT ON {s}.jobs FOR EACH ROW EXECUTE FUNCTION {s}.slow()").await;
    let sleeping = "SELECT count(*) FROM pg_stat_activity \
        WHERE application_name = '{s}' AND wait_event = 'PgSleep'";
    tokio::select! {
        done = queue.enqueue("slow") => panic!("{done:?}"),
        () = place.wait_for(sleeping, "1") => {}
    }
    queue.enqueue("quick").await.unwrap();
    // Nobody waits for a minute: the server was told that nobody wants the answer.
    place.wait_for(sleeping, "0").await;
    assert_eq!(
        place
            .rows("SELECT convert_from(payload, 'UTF8') FROM {s}.jobs")
            .await,
        ["quick"]
    );
}

#[test]
fn the_statements_for_migrations_are_those_that_make_the_table() {
    let schema = queue_schema(&Table::in_schema("a", "b"));
    assert_eq!(
        schema
            .matches("CREATE TABLE IF NOT EXISTS \"a\".\"b\"")
            .count(),
        1
    );
    assert_eq!(schema.matches("CREATE INDEX IF NOT EXISTS").count(), 3);
}

/// A source that is not drained is no source that hangs.
#[tokio::test]
async fn a_drain_without_a_connection_ends_at_once() {
    let Some(place) = Place::new().await else {
        return;
    };
    let options = PostgresSourceOptions::new(place.server(), place.table("jobs"));
    let mut source = PostgresSource::new(options).unwrap();
    let mut intake = towpath::core::Intake::new();
    source.drain(&mut intake).await.unwrap();
    assert!(intake.is_empty());
}
