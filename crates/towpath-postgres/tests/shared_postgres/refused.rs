//! What becomes of rows that the server refuses, and of batches that somebody is in the way of.

use std::time::Duration;

use towpath::Sink as _;
use towpath_postgres::{PostgresSink, PostgresSinkOptions, Row};

use crate::{
    place::{Place, batch, failed},
    sink::{attempts, count_attempts, each_kind, write},
};

#[tokio::test]
async fn one_bad_row_fails_alone_whatever_is_wrong_with_it() {
    let Some(place) = Place::new().await else {
        return;
    };
    for (kind, mut sink) in each_kind(&place).await {
        for (round, (bad, state)) in [
            ("bad", "23514"),
            ("far too long", "22001"),
            ("a\0b", "22021"),
        ]
        .into_iter()
        .enumerate()
        {
            let base = i64::try_from(round).unwrap() * 100;
            let good = |number: i64| (base + number, Some("good"));
            let pairs = [good(1), good(2), (base + 3, Some(bad)), good(4)];
            let told = write(&mut sink, batch(pairs)).await;
            assert_eq!(failed(&told), [2], "{kind}: {told:?}");
            let why = told[2].as_ref().unwrap_err();
            assert!(why.starts_with("rejected: "), "{why}");
            assert!(why.contains(&format!("SQLSTATE {state}")), "{kind}: {why}");
        }
        let rows = format!(
            "SELECT count(*), count(DISTINCT xmin::text) > 3, \
             array_agg(number ORDER BY place)::text FROM {{s}}.{kind}"
        );
        let expected = "9|f|{1,2,4,101,102,104,201,202,204}";
        let found = place.one(&rows).await;
        // Parts of a transaction have numbers of their own.
        assert_eq!(found.replace("|t|", "|f|"), expected, "{kind}");
    }
}

#[tokio::test]
async fn a_key_that_is_there_already_is_refused_or_replaced() {
    let Some(place) = Place::new().await else {
        return;
    };
    for (kind, mut sink) in each_kind(&place).await {
        write(&mut sink, batch([(1, Some("old"))])).await;
        let told = write(&mut sink, batch([(0, None), (1, Some("new")), (2, None)])).await;
        let rows = format!("SELECT number, text FROM {{s}}.{kind} ORDER BY number");
        let found = place.rows(&rows).await;
        if kind == "upsert" {
            assert!(failed(&told).is_empty(), "{told:?}");
            assert_eq!(found, ["0|null", "1|new", "2|null"]);
        } else {
            assert_eq!(failed(&told), [1], "{kind}: {told:?}");
            assert!(told[1].as_ref().unwrap_err().contains("SQLSTATE 23505"));
            assert_eq!(found, ["0|null", "1|old", "2|null"], "{kind}");
        }
    }
}

#[tokio::test]
async fn many_bad_rows_are_found_in_few_attempts() {
    let Some(place) = Place::new().await else {
        return;
    };
    let bad = [0, 17, 18, 400, 511];
    for (kind, mut sink) in each_kind(&place).await {
        count_attempts(&place, kind).await;
        let pair = |number: usize| {
            let text = if bad.contains(&number) { "bad" } else { "good" };
            (i64::try_from(number).unwrap(), Some(text))
        };
        let told = write(&mut sink, batch((0..512).map(pair))).await;
        assert_eq!(failed(&told), bad, "{kind}");
        let count = format!("SELECT count(*) FROM {{s}}.{kind} WHERE text = 'good'");
        assert_eq!(place.one(&count).await, "507", "{kind}");
        if kind != "statement" {
            let attempts = attempts(&place, kind).await;
            assert!(attempts <= 2 * bad.len() * 10 + 2, "{kind}: {attempts}");
        }
    }
}

#[tokio::test]
async fn when_all_rows_are_bad_each_is_rejected_and_the_attempts_do_not_explode() {
    let Some(place) = Place::new().await else {
        return;
    };
    for (kind, mut sink) in each_kind(&place).await {
        count_attempts(&place, kind).await;
        let told = write(
            &mut sink,
            batch((0..300).map(|number| (number, Some("bad")))),
        )
        .await;
        assert_eq!(failed(&told).len(), 300, "{kind}");
        assert_eq!(
            place
                .one(&format!("SELECT count(*) FROM {{s}}.{kind}"))
                .await,
            "0"
        );
        let attempts = attempts(&place, kind).await;
        assert!(attempts <= 2 * 300 + 1, "{kind}: {attempts}");
        // And the connection is of use.
        assert!(failed(&write(&mut sink, batch([(1, None)])).await).is_empty());
    }
}

#[tokio::test]
async fn a_row_that_is_refused_only_at_the_commit_is_found_too() {
    let Some(place) = Place::new().await else {
        return;
    };
    place
        .sql("CREATE TABLE {s}.parents (id bigint PRIMARY KEY)")
        .await;
    place
        .sql("INSERT INTO {s}.parents SELECT generate_series(1, 100)")
        .await;
    for (kind, mut sink) in each_kind(&place).await {
        place
            .sql(&format!(
                "ALTER TABLE {{s}}.{kind} ADD FOREIGN KEY (number) REFERENCES {{s}}.parents \
                 DEFERRABLE INITIALLY DEFERRED"
            ))
            .await;
        let told = write(
            &mut sink,
            batch([1, 2, 777, 3].map(|number| (number, None))),
        )
        .await;
        assert_eq!(failed(&told), [2], "{kind}: {told:?}");
        assert!(told[2].as_ref().unwrap_err().contains("SQLSTATE 23503"));
        let rows = format!("SELECT number FROM {{s}}.{kind} ORDER BY 1");
        assert_eq!(place.rows(&rows).await, ["1", "2", "3"], "{kind}");
    }
}

#[tokio::test]
async fn what_a_trigger_says_is_told() {
    let Some(place) = Place::new().await else {
        return;
    };
    place
        .sql(
            "CREATE FUNCTION {s}.no() RETURNS trigger LANGUAGE plpgsql AS \
             'BEGIN IF NEW.number = 13 THEN RAISE ''not this one''; END IF; RETURN NEW; END'",
        )
        .await;
    for (kind, mut sink) in each_kind(&place).await {
        place
            .sql(&format!(
                "CREATE TRIGGER no AFTER INSERT ON {{s}}.{kind} \
                 FOR EACH ROW EXECUTE FUNCTION {{s}}.no()"
            ))
            .await;
        let told = write(&mut sink, batch([12, 13, 14].map(|number| (number, None)))).await;
        assert_eq!(failed(&told), [1], "{kind}: {told:?}");
        assert_eq!(
            told[1].as_ref().unwrap_err(),
            "rejected: not this one (SQLSTATE P0001)"
        );
    }
}

#[tokio::test]
async fn a_row_whose_successor_is_refused_stays() {
    let Some(place) = Place::new().await else {
        return;
    };
    let (_, mut sink) = each_kind(&place).await.swap_remove(2);
    let rows = [(1, Some("good")), (2, Some("good")), (1, Some("bad"))];
    let told = write(&mut sink, batch(rows)).await;
    assert_eq!(failed(&told), [2]);
    let found = place
        .rows("SELECT number, text FROM {s}.upsert ORDER BY 1")
        .await;
    assert_eq!(found, ["1|good", "2|good"]);
}

#[tokio::test]
async fn keys_that_differ_in_bytes_only_do_not_fail_either() {
    let Some(place) = Place::new().await else {
        return;
    };
    place.sql("CREATE COLLATION {s}.any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)").await;
    place
        .sql("CREATE TABLE {s}.names (name text COLLATE {s}.any_case PRIMARY KEY, text text)")
        .await;
    let columns = ["name", "text"];
    let options =
        PostgresSinkOptions::upsert(place.server(), place.table("names"), columns, ["name"]);
    let write_row = |(name, text): &(&str, &str), row: &mut Row<'_>| {
        row.add(name).add(text);
    };
    let mut sink = PostgresSink::new(options, write_row).unwrap();
    let rows = [
        ("Ada", "1"),
        ("Bob", "2"),
        ("ADA", "3"),
        ("bob", "4"),
        ("ada", "5"),
    ];
    let told = write(&mut sink, batch(rows)).await;
    assert!(failed(&told).is_empty(), "{told:?}");
    let found = place
        .rows("SELECT lower(name), text FROM {s}.names ORDER BY text")
        .await;
    assert_eq!(found, ["bob|4", "ada|5"]);
}

#[tokio::test]
async fn sinks_that_write_the_same_rows_in_opposite_orders_both_get_through() {
    let Some(place) = Place::new().await else {
        return;
    };
    let (_, sink) = each_kind(&place).await.swap_remove(2);
    let writers = [false, true].map(|reversed| {
        let mut sink = sink.clone();
        async move {
            for _ in 0..20 {
                let mut rows: Vec<_> = (0..200).map(|number| (number, Some("x"))).collect();
                if reversed {
                    rows.reverse();
                }
                assert!(failed(&write(&mut sink, batch(rows)).await).is_empty());
            }
        }
    });
    let [one, other] = writers;
    tokio::join!(one, other);
    assert_eq!(place.one("SELECT count(*) FROM {s}.upsert").await, "200");
}

#[tokio::test]
async fn a_deadlock_is_tried_again_and_nothing_is_rejected() {
    let Some(mut place) = Place::new().await else {
        return;
    };
    let (_, mut sink) = each_kind(&place).await.swap_remove(2);
    write(&mut sink, batch([(1, Some("old")), (2, Some("old"))])).await;
    let table = place.table("upsert").to_string();
    let schema = place.schema().to_owned();
    let other = Place::new().await.unwrap();
    let transaction = place.client().transaction().await.unwrap();
    let second = format!("UPDATE {table} SET text = 'other' WHERE number = 2");
    transaction.batch_execute(&second).await.unwrap();
    let deadlock = async {
        let waiting = format!(
            "SELECT count(*) FROM pg_stat_activity \
             WHERE application_name = '{schema}' AND wait_event_type = 'Lock'"
        );
        other.wait_for(&waiting, "1").await;
        let first = format!("UPDATE {table} SET text = 'other' WHERE number = 1");
        // One of the two is chosen to give in.
        drop(transaction.batch_execute(&first).await);
        drop(transaction.commit().await);
    };
    let rows = [(1, Some("new")), (2, Some("new"))];
    let (told, ()) = tokio::join!(write(&mut sink, batch(rows)), deadlock);
    assert!(failed(&told).is_empty(), "{told:?}");
    let rows = "SELECT DISTINCT text FROM {s}.upsert";
    assert_eq!(place.rows(rows).await, ["new"]);
}

#[tokio::test]
async fn serialization_failures_are_tried_again() {
    let Some(place) = Place::new().await else {
        return;
    };
    place
        .sql("CREATE TABLE {s}.total (sum bigint); INSERT INTO {s}.total VALUES (0)")
        .await;
    let sql = format!("UPDATE {} SET sum = sum + $1", place.table("total"));
    let url = format!(
        "{}?options=-c%20default_transaction_isolation=serializable",
        place.url()
    );
    let options = PostgresSinkOptions::statement(url, sql);
    let sink = PostgresSink::new(options, |number: &i64, row: &mut Row<'_>| {
        row.add(number);
    })
    .unwrap();
    let writers = (0..4).map(|_| {
        let mut sink = sink.clone();
        async move {
            for _ in 0..10 {
                assert!(failed(&write(&mut sink, batch([1, 2])).await).is_empty());
            }
        }
    });
    futures_util::future::join_all(writers).await;
    assert_eq!(place.one("SELECT sum FROM {s}.total").await, "120");
}

#[tokio::test]
async fn a_value_of_the_wrong_type_rejects_its_message_and_names_the_column() {
    let Some(place) = Place::new().await else {
        return;
    };
    for (kind, _) in each_kind(&place).await {
        let options =
            PostgresSinkOptions::copy_into(place.server(), place.table(kind), ["number", "text"]);
        let write_row = |good: &bool, row: &mut Row<'_>| {
            if *good {
                row.add(1_i64).add("x");
            } else {
                row.add("one").add("x");
            }
        };
        let mut sink = PostgresSink::new(options, write_row).unwrap();
        let told = write(&mut sink, batch([false, true])).await;
        assert_eq!(failed(&told), [0]);
        let why = told[0].as_ref().unwrap_err();
        assert!(why.contains("column number of type int8"), "{why}");
    }
}

#[tokio::test]
async fn a_row_that_is_too_large_fails_alone() {
    let Some(place) = Place::new().await else {
        return;
    };
    place.sql("CREATE TABLE {s}.t (bytes bytea)").await;
    let options = PostgresSinkOptions::copy_into(place.server(), place.table("t"), ["bytes"])
        .max_row_bytes(1_000);
    let write_row = |size: &usize, row: &mut Row<'_>| {
        row.add(vec![7_u8; *size]);
    };
    let mut sink = PostgresSink::new(options, write_row).unwrap();
    let told = write(&mut sink, batch([0, 2_000, 990])).await;
    assert_eq!(failed(&told), [1]);
    assert!(
        told[1]
            .as_ref()
            .unwrap_err()
            .contains("at most 1000 are allowed")
    );
    assert_eq!(
        place.one("SELECT sum(length(bytes)) FROM {s}.t").await,
        "990"
    );
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended_by_the_server_and_the_batch_given_back() {
    let Some(place) = Place::new().await else {
        return;
    };
    let server = place.server().statement_timeout(Duration::from_millis(500));
    let options = PostgresSinkOptions::statement(server, "SELECT pg_sleep($1)")
        .patience(Duration::from_secs(6));
    let mut sink = PostgresSink::new(options, |seconds: &f64, row: &mut Row<'_>| {
        row.add(seconds);
    })
    .unwrap();
    assert!(failed(&write(&mut sink, batch([0.01])).await).is_empty());
    let given_back = sink.write(batch([60.0])).await.unwrap_err();
    let failure = towpath::Failure::from_error(given_back);
    assert!(failure.is_retry());
    let last = std::error::Error::source(failure.error())
        .unwrap()
        .to_string();
    assert!(last.contains("SQLSTATE 57014"), "{last}");
    assert!(sink.reach().unwrap().error().is_some());
}
