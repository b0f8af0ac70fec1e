//! Writing batches: what is written, and how.

use towpath::{Batch, Sink as _};
use towpath_postgres::{PostgresSink, PostgresSinkOptions, Row};

use crate::place::{Place, answers, batch, failed};

/// A number, and a text that may be missing.
pub(crate) type Pair = (i64, Option<&'static str>);

pub(crate) fn write_pair((number, text): &Pair, row: &mut Row<'_>) {
    row.add(number).add(text);
}

/// One sink of each kind over a table of two columns with a key.
pub(crate) async fn each_kind(place: &Place) -> Vec<(&'static str, PostgresSink<Pair>)> {
    let mut sinks = Vec::new();
    for kind in ["copy", "insert", "upsert", "statement"] {
        place
            .sql(&format!(
                "CREATE TABLE {{s}}.{kind} (place bigserial, number bigint PRIMARY KEY, \
                 text varchar(8) CHECK (text <> 'bad'))"
            ))
            .await;
        let (server, table, columns) = (place.server(), place.table(kind), ["number", "text"]);
        let options = match kind {
            "copy" => PostgresSinkOptions::copy_into(server, table, columns),
            "insert" => PostgresSinkOptions::insert(server, table, columns),
            "upsert" => PostgresSinkOptions::upsert(server, table, columns, ["number"]),
            _ => {
                let sql = format!("INSERT INTO {table} (number, text) VALUES ($1, $2)");
                PostgresSinkOptions::statement(server, sql)
            }
        };
        sinks.push((kind, PostgresSink::new(options, write_pair).unwrap()));
    }
    sinks
}

pub(crate) async fn write<T: Send + Sync + 'static>(
    sink: &mut PostgresSink<T>,
    batch: Batch<T>,
) -> Vec<Result<(), String>> {
    let size = batch.len();
    answers(sink.write(batch).await.unwrap(), size)
}

/// Counts how often a table is written to, whether that is undone or not.
pub(crate) async fn count_attempts(place: &Place, table: &str) {
    place
        .sql(&format!(
            "CREATE SEQUENCE {{s}}.attempts_{table}; \
             CREATE FUNCTION {{s}}.count_{table}() RETURNS trigger LANGUAGE plpgsql AS \
             'BEGIN PERFORM nextval(''{{s}}.attempts_{table}''); RETURN NULL; END'; \
             CREATE TRIGGER count BEFORE INSERT ON {{s}}.{table} \
             FOR EACH STATEMENT EXECUTE FUNCTION {{s}}.count_{table}()"
        ))
        .await;
}

pub(crate) async fn attempts(place: &Place, table: &str) -> usize {
    let query = format!("SELECT last_value FROM {{s}}.attempts_{table}");
    place.one(&query).await.parse().unwrap()
}

#[tokio::test]
async fn every_kind_writes_what_it_is_given_in_order_and_in_one_transaction() {
    let Some(place) = Place::new().await else {
        return;
    };
    for (kind, mut sink) in each_kind(&place).await {
        let pairs = [(3, Some("c")), (1, None), (2, Some(""))];
        let told = write(&mut sink, batch(pairs)).await;
        assert!(failed(&told).is_empty(), "{kind}: {told:?}");
        let rows = format!("SELECT number, text FROM {{s}}.{kind} ORDER BY place");
        assert_eq!(place.rows(&rows).await, ["3|c", "1|null", "2|"], "{kind}");
        let transactions = format!("SELECT count(DISTINCT xmin::text) FROM {{s}}.{kind}");
        assert_eq!(place.one(&transactions).await, "1", "{kind}");
    }
}

#[tokio::test]
async fn of_rows_with_the_same_key_in_one_batch_the_last_stays_and_all_are_done() {
    let Some(place) = Place::new().await else {
        return;
    };
    place
        .sql("CREATE TABLE {s}.t (a bigint, b text, text text, PRIMARY KEY (a, b))")
        .await;
    let columns = ["a", "text", "b"];
    let options =
        PostgresSinkOptions::upsert(place.server(), place.table("t"), columns, ["b", "a"]);
    let write_row = |(a, b, text): &(i64, &str, &str), row: &mut Row<'_>| {
        row.add(a).add(text).add(b);
    };
    let mut sink = PostgresSink::new(options, write_row).unwrap();
    let rows = [
        (1, "x", "first"),
        (1, "y", "other"),
        (1, "x", "second"),
        (2, "x", "other"),
        (1, "x", "last"),
    ];
    let told = write(&mut sink, batch(rows)).await;
    assert!(failed(&told).is_empty(), "{told:?}");
    let found = place
        .rows("SELECT a, b, text FROM {s}.t ORDER BY a, b")
        .await;
    assert_eq!(found, ["1|x|last", "1|y|other", "2|x|other"]);
}

#[tokio::test]
async fn a_key_of_all_columns_leaves_nothing_to_update() {
    let Some(place) = Place::new().await else {
        return;
    };
    place
        .sql("CREATE TABLE {s}.t (id bigint PRIMARY KEY)")
        .await;
    let options = PostgresSinkOptions::upsert(place.server(), place.table("t"), ["id"], ["id"]);
    let mut sink = PostgresSink::new(options, |id: &i64, row: &mut Row<'_>| {
        row.add(id);
    })
    .unwrap();
    for _ in 0..2 {
        assert!(failed(&write(&mut sink, batch([1, 2, 2])).await).is_empty());
    }
    assert_eq!(place.one("SELECT count(*) FROM {s}.t").await, "2");
}

#[tokio::test]
async fn batches_at_and_above_the_most_parameters_of_a_statement_are_written() {
    let Some(place) = Place::new().await else {
        return;
    };
    for columns in [1_usize, 7, 100] {
        let names: Vec<_> = (0..columns).map(|column| format!("c{column}")).collect();
        let types: Vec<_> = names.iter().map(|name| format!("{name} integer")).collect();
        let fits = 65_535 / columns;
        for (kind, rows, statements) in [
            ("insert", fits, 1),
            ("insert", fits + 1, 2),
            ("upsert", fits, 1),
            ("upsert", fits + 1, 2),
        ] {
            let table = format!("t_{columns}_{kind}_{rows}");
            place
                .sql(&format!(
                    "CREATE TABLE {{s}}.{table} ({}, UNIQUE (c0))",
                    types.join(", ")
                ))
                .await;
            count_attempts(&place, &table).await;
            let (server, into) = (place.server(), place.table(&table));
            let options = match kind {
                "insert" => PostgresSinkOptions::insert(server, into, &names[..]),
                _ => PostgresSinkOptions::upsert(server, into, &names[..], ["c0"]),
            };
            let write_row = move |number: &i32, row: &mut Row<'_>| {
                for _ in 0..columns {
                    row.add(number);
                }
            };
            let mut sink = PostgresSink::new(options, write_row).unwrap();
            let numbers = 0..i32::try_from(rows).unwrap();
            let told = write(&mut sink, batch(numbers)).await;
            assert!(failed(&told).is_empty(), "{table}: {:?}", told[0]);
            let last = format!(
                "SELECT count(*), max(c{}), count(DISTINCT xmin::text) FROM {{s}}.{table}",
                columns - 1
            );
            let expected = format!("{rows}|{}|1", rows - 1);
            assert_eq!(place.one(&last).await, expected, "{table}");
            assert_eq!(attempts(&place, &table).await, statements, "{table}");
        }
    }
}

#[tokio::test]
async fn batches_of_the_same_size_reuse_their_statement_and_others_do_not_pile_up() {
    let Some(place) = Place::new().await else {
        return;
    };
    place.sql("CREATE TABLE {s}.t (id bigint)").await;
    let options = PostgresSinkOptions::insert(place.server(), place.table("t"), ["id"]);
    let mut sink = PostgresSink::new(options, |id: &i64, row: &mut Row<'_>| {
        row.add(id);
    })
    .unwrap();
    for size in (1..60).chain([100; 5]).chain((1..60).rev()) {
        let told = write(&mut sink, batch(0..size)).await;
        assert!(failed(&told).is_empty());
    }
    assert_eq!(
        place.one("SELECT count(*) FROM {s}.t").await,
        (59 * 60 + 500).to_string()
    );
}

#[tokio::test]
async fn names_with_quotes_dots_and_capitals_are_only_names() {
    let Some(place) = Place::new().await else {
        return;
    };
    place
        .sql(r#"CREATE TABLE {s}."T; DROP TABLE x -- "" ." ("Select" bigint, "a""b" text)"#)
        .await;
    let table = place.table(r#"T; DROP TABLE x -- " ."#);
    let options = PostgresSinkOptions::copy_into(place.server(), table, ["Select", "a\"b"]);
    let mut sink = PostgresSink::new(options, write_pair).unwrap();
    assert!(failed(&write(&mut sink, batch([(1, Some("x"))])).await).is_empty());
}

#[tokio::test]
async fn values_of_many_types_are_written() {
    let Some(place) = Place::new().await else {
        return;
    };
    place
        .sql(
            "CREATE TYPE {s}.mood AS ENUM ('good', 'bad'); \
             CREATE DOMAIN {s}.short AS text CHECK (length(VALUE) < 5); \
             CREATE TABLE {s}.types (flag boolean, small smallint, real real, bytes bytea, \
             list text[], short {s}.short, at timestamptz, doc jsonb)",
        )
        .await;
    let columns = [
        "flag", "small", "real", "bytes", "list", "short", "at", "doc",
    ];
    for options in [
        PostgresSinkOptions::copy_into(place.server(), place.table("types"), columns),
        PostgresSinkOptions::insert(place.server(), place.table("types"), columns),
    ] {
        let write_row = |short: &&str, row: &mut Row<'_>| {
            let given = [("a", "b")].into_iter().collect();
            row.add(true)
                .add(7_i16)
                .add(0.5_f32)
                .add(&[0_u8, 255][..])
                .add(vec!["x", "y"])
                .add(short)
                .add(std::time::UNIX_EPOCH)
                .add_headers(&given);
        };
        let mut sink = PostgresSink::new(options, write_row).unwrap();
        let told = write(&mut sink, batch(["fits", "too long"])).await;
        assert_eq!(failed(&told), [1], "{told:?}");
    }
    let row = r#"t|7|0.5|\x00ff|{x,y}|fits|0|{"a": "b"}"#;
    let query = "SELECT flag, small, real, bytes, list, short, \
        extract(epoch FROM at)::int, doc FROM {s}.types";
    assert_eq!(place.rows(query).await, [row, row]);
}

#[tokio::test]
async fn a_large_batch_is_copied_in_slices() {
    let Some(place) = Place::new().await else {
        return;
    };
    place.sql("CREATE TABLE {s}.t (bytes bytea)").await;
    let options = PostgresSinkOptions::copy_into(place.server(), place.table("t"), ["bytes"]);
    let write_row = |size: &usize, row: &mut Row<'_>| {
        row.add(vec![7_u8; *size]);
    };
    let mut sink = PostgresSink::new(options, write_row).unwrap();
    let told = write(&mut sink, batch([3 << 20, 1, 5 << 20])).await;
    assert!(failed(&told).is_empty());
    let size = (8 << 20) + 1;
    assert_eq!(
        place.one("SELECT sum(length(bytes)) FROM {s}.t").await,
        size.to_string()
    );
}

#[tokio::test]
async fn a_write_that_is_dropped_frees_the_server_and_the_sink_writes_on() {
    let Some(place) = Place::new().await else {
        return;
    };
    place
        .sql(
            "CREATE FUNCTION {s}.slow() RETURNS trigger LANGUAGE plpgsql AS \
             'BEGIN IF NEW.number = 13 THEN PERFORM pg_sleep(60); END IF; RETURN NEW; END'",
        )
        .await;
    for (kind, mut sink) in each_kind(&place).await {
        place
            .sql(&format!(
                "CREATE TRIGGER slow BEFORE INSERT ON {{s}}.{kind} \
                 FOR EACH ROW EXECUTE FUNCTION {{s}}.slow()"
            ))
            .await;
        let sleeping = "SELECT count(*) FROM pg_stat_activity \
            WHERE application_name = '{s}' AND wait_event = 'PgSleep'";
        tokio::select! {
            told = write(&mut sink, batch([(1, None), (13, None)])) => panic!("{told:?}"),
            () = place.wait_for(sleeping, "1") => {}
        }
        let told = write(&mut sink, batch([(1, None), (2, None)])).await;
        assert!(failed(&told).is_empty(), "{kind}: {told:?}");
        place.wait_for(sleeping, "0").await;
        let rows = format!("SELECT number FROM {{s}}.{kind} ORDER BY 1");
        assert_eq!(place.rows(&rows).await, ["1", "2"], "{kind}");
    }
}

#[tokio::test]
async fn a_sink_that_is_gone_leaves_no_connection() {
    let Some(place) = Place::new().await else {
        return;
    };
    for (_, mut sink) in each_kind(&place).await {
        write(&mut sink, batch([(1, None)])).await;
    }
    let open = "SELECT count(*) FROM pg_stat_activity WHERE application_name = '{s}'";
    place.wait_for(open, "0").await;
}
