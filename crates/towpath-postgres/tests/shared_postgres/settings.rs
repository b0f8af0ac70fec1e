//! Settings that are wrong: each is named, and no secret is shown.

use std::time::Duration;

use tokio::time::timeout;
use towpath::{
    Sink as _,
    core::{Intake, Producer as _},
};
use towpath_postgres::{
    PostgresOptions, PostgresQueue, PostgresQueueOptions, PostgresSink, PostgresSinkOptions,
    PostgresSource, PostgresSourceOptions, Row, Table,
};
use towpath_test_servers::{Postgres, Proxy, or_not_run};

use crate::place::{PATIENCE, Place, answers, batch, failed};

const PASSWORD: &str = "correct-horse-battery";

/// What a source, a sink and a queue over a server say.
async fn complaints(server: &PostgresOptions, table: &Table) -> Vec<String> {
    let options = PostgresSourceOptions::new(server.clone(), table.clone());
    let mut source = PostgresSource::new(options).unwrap();
    let mut intake = Intake::new();
    intake.ask(1);
    let received = timeout(PATIENCE, source.receive(&mut intake))
        .await
        .unwrap();
    let source_says = received.unwrap_err().to_string();

    let options = PostgresQueueOptions::new(server.clone(), table.clone());
    let enqueued = PostgresQueue::new(options).unwrap().enqueue("x").await;
    let queue_says = enqueued.unwrap_err().to_string();

    let options = PostgresSinkOptions::copy_into(server.clone(), table.clone(), ["payload"]);
    let sink_says = complaint(options).await;
    vec![source_says, queue_says, sink_says]
}

/// What a sink says while its batch waits.
async fn complaint(options: PostgresSinkOptions) -> String {
    let mut sink = PostgresSink::new(options, |bytes: &Vec<u8>, row: &mut Row<'_>| {
        row.add(bytes);
    })
    .unwrap();
    let reach = sink.reach().unwrap();
    let said = async {
        while reach.error().is_none() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        reach.error().unwrap()
    };
    tokio::select! {
        written = sink.write(batch([vec![1]])) => panic!("{written:?}"),
        said = timeout(PATIENCE, said) => said.unwrap(),
    }
}

fn all_say(complaints: &[String], words: &[&str]) {
    for complaint in complaints {
        for word in words {
            assert!(complaint.contains(word), "{word}: {complaint}");
        }
        assert!(!complaint.contains(PASSWORD), "{complaint}");
    }
}

#[tokio::test]
async fn a_login_that_is_wrong_is_told_with_the_setting_and_without_the_password() {
    let Some(server) = or_not_run(Postgres::with_password(PASSWORD)) else {
        return;
    };
    let (url, table) = (server.url(), Table::new("jobs"));
    let wrong = url.replace(PASSWORD, "correct-horse-battery-not");
    for server in [
        PostgresOptions::new(wrong),
        PostgresOptions::new(url.as_str()).password("correct-horse-battery-no"),
    ] {
        let said = complaints(&server, &table).await;
        let words = [
            "cannot connect to 127.0.0.1:",
            "28P01",
            "user and password in `url`",
        ];
        all_say(&said, &words);
        assert!(!format!("{server:?}").contains("battery"));
    }
    let without = PostgresOptions::new(url.replace(&format!(":{PASSWORD}"), ""));
    let said = complaints(&without, &table).await;
    all_say(&said, &["password", "user and password in `url`"]);
    let elsewhere = url.strip_suffix("/postgres").unwrap().to_owned() + "/nowhere";
    let said = complaints(&PostgresOptions::new(elsewhere), &table).await;
    all_say(
        &said,
        &[
            "\"nowhere\" does not exist",
            "3D000",
            "the database in `url`",
        ],
    );

    // The password apart from the address is right, whatever the address says.
    let apart = PostgresOptions::new(url.replace(PASSWORD, "nonsense")).password(PASSWORD);
    let mut queue = PostgresQueue::new(PostgresQueueOptions::new(apart, "jobs")).unwrap();
    queue.create().await.unwrap();
    queue.enqueue("x").await.unwrap();
}

#[tokio::test]
async fn a_host_where_nobody_answers_is_told_with_the_setting() {
    let nobody = PostgresOptions::new(format!("postgres://me:{PASSWORD}@127.0.0.1:1/shop"));
    let said = complaints(&nobody, &Table::new("jobs")).await;
    all_say(
        &said,
        &[
            "cannot connect to 127.0.0.1:1/shop",
            "refused",
            "host and port in `url`",
        ],
    );
    let unknown = PostgresOptions::new(format!("postgres://me:{PASSWORD}@host.invalid/shop"));
    let said = complaints(&unknown, &Table::new("jobs")).await;
    all_say(
        &said,
        &[
            "cannot connect to host.invalid:5432/shop",
            "host and port in `url`",
        ],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_says_nothing_is_given_up_in_time() {
    let Some(place) = Place::new().await else {
        return;
    };
    let address = place.url().split(['@', '/']).nth(3).unwrap().to_owned();
    let mut proxy = Proxy::to(address.as_str());
    proxy.stall();
    let silent = PostgresOptions::new(format!("postgres://me:{PASSWORD}@{}/shop", proxy.addr()))
        .connect_timeout(Duration::from_millis(300));
    let said = complaints(&silent, &Table::new("jobs")).await;
    all_say(
        &said,
        &["gave no answer within 300ms", "host and port in `url`"],
    );
}

#[tokio::test]
async fn a_table_that_is_missing_or_another_one_is_told_with_the_setting() {
    let Some(place) = Place::new().await else {
        return;
    };
    let said = complaints(&place.server(), &place.table("missing")).await;
    all_say(&said, &["missing", "42P01", "look at `table`"]);
    let nowhere = Table::in_schema("nowhere", "jobs");
    let said = complaints(&place.server(), &nowhere).await;
    all_say(&said, &["nowhere", "look at `table`"]);
    place.sql("CREATE TABLE {s}.other (id bigint)").await;
    let said = complaints(&place.server(), &place.table("other")).await;
    all_say(&said, &["42703", "look at `table`"]);
}

#[tokio::test]
async fn columns_keys_and_statements_that_are_wrong_are_told_with_the_setting() {
    let Some(place) = Place::new().await else {
        return;
    };
    place
        .sql("CREATE TABLE {s}.t (id bigint, payload bytea)")
        .await;
    let (server, table) = (place.server(), place.table("t"));
    for (options, words) in [
        (
            PostgresSinkOptions::insert(server.clone(), table.clone(), ["pailoat"]),
            ["\"pailoat\" does not exist", "`columns`"],
        ),
        (
            PostgresSinkOptions::upsert(server.clone(), table.clone(), ["payload"], ["payload"]),
            ["ON CONFLICT", "`key`"],
        ),
        (
            PostgresSinkOptions::statement(server.clone(), "INSRET INTO t VALUES ($1)"),
            ["syntax error", "`sql`"],
        ),
        (
            PostgresSinkOptions::statement(server.clone(), "SELECT 1; SELECT $1"),
            ["multiple commands", "`sql`"],
        ),
    ] {
        all_say(&[complaint(options).await], &words);
    }
}

#[tokio::test]
async fn rights_that_are_missing_keep_the_batch_waiting_until_they_are_there() {
    let Some(place) = Place::new().await else {
        return;
    };
    let user = format!("{}_writer", place.schema());
    place
        .sql(&format!(
            "CREATE TABLE {{s}}.t (payload bytea); CREATE ROLE {user} LOGIN; \
             GRANT USAGE ON SCHEMA {{s}} TO {user}"
        ))
        .await;
    let url = place.url().replace("postgres@", &format!("{user}@"));
    let options = PostgresSinkOptions::copy_into(url, place.table("t"), ["payload"]);
    all_say(
        &[complaint(options.clone()).await],
        &["permission denied", "42501", "`table`"],
    );
    place
        .sql(&format!("GRANT INSERT ON {{s}}.t TO {user}"))
        .await;
    let mut sink = PostgresSink::new(options, |bytes: &Vec<u8>, row: &mut Row<'_>| {
        row.add(bytes);
    })
    .unwrap();
    let written = sink.write(batch([vec![1]])).await.unwrap();
    assert!(failed(&answers(written, 1)).is_empty());
}

#[tokio::test]
async fn a_row_that_a_policy_refuses_fails_alone() {
    let Some(place) = Place::new().await else {
        return;
    };
    let user = format!("{}_tenant", place.schema());
    place
        .sql(&format!(
            "CREATE TABLE {{s}}.t (payload bytea); CREATE ROLE {user} LOGIN; \
             GRANT USAGE ON SCHEMA {{s}} TO {user}; GRANT INSERT ON {{s}}.t TO {user}; \
             ALTER TABLE {{s}}.t ENABLE ROW LEVEL SECURITY; \
             CREATE POLICY own ON {{s}}.t FOR INSERT WITH CHECK (length(payload) < 3)"
        ))
        .await;
    let url = place.url().replace("postgres@", &format!("{user}@"));
    // COPY is not for tables with policies.
    let options = PostgresSinkOptions::insert(url, place.table("t"), ["payload"]);
    let mut sink = PostgresSink::new(options, |bytes: &Vec<u8>, row: &mut Row<'_>| {
        row.add(bytes);
    })
    .unwrap();
    let written = sink
        .write(batch([vec![1], vec![1, 2, 3], vec![1, 2]]))
        .await
        .unwrap();
    let told = answers(written, 3);
    assert_eq!(failed(&told), [1], "{told:?}");
    assert!(told[1].as_ref().unwrap_err().contains("row-level security"));
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn connections_by_tls_trust_whom_they_are_told_to() {
    let Some(server) = or_not_run(Postgres::with_tls()) else {
        return;
    };
    let table = Table::new("jobs");
    let trusted = PostgresOptions::new(server.url()).ca(server.ca_path());
    let mut queue = PostgresQueue::new(PostgresQueueOptions::new(trusted.clone(), "jobs")).unwrap();
    queue.create().await.unwrap();
    queue.enqueue("by tls").await.unwrap();
    let by_tls = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
        WHERE ssl AND application_name = 'towpath'";
    assert_eq!(server.psql(by_tls), "1");

    all_say(
        &complaints(&PostgresOptions::new(server.url()), &table).await,
        &["certificate", "`ca`"],
    );
    let missing = PostgresOptions::new(server.url()).ca("no such file");
    all_say(
        &complaints(&missing, &table).await,
        &["`ca`", "no such file"],
    );
}
