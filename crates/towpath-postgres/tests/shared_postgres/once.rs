//! Each message once, even if it comes several times.

use std::time::Duration;

use towpath::{Batch, Origin, Sink as _, core::SinkPromise};
use towpath_postgres::{Once, PostgresSink, PostgresSinkOptions, Row};
use towpath_test_servers::{Postgres, Proxy, or_not_run};

use crate::place::{Place, answers, batch, batch_of, failed};

fn once(place: &Place) -> Once {
    Once::new("numbers").table(place.table("applied"))
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "a sink lends its messages"
)]
fn write_number(number: &i64, row: &mut Row<'_>) {
    row.add(number);
}

fn sink_of(options: PostgresSinkOptions) -> PostgresSink<i64> {
    PostgresSink::new(options, write_number).unwrap()
}

async fn tables(place: &Place, sink: &mut PostgresSink<i64>) {
    sink.create_applied().await.unwrap();
    place
        .sql("CREATE TABLE IF NOT EXISTS {s}.t (number bigint CHECK (number <> 13))")
        .await;
}

async fn copying(place: &Place) -> PostgresSink<i64> {
    let options = PostgresSinkOptions::copy_into(place.server(), place.table("t"), ["number"]);
    let mut sink = sink_of(options.once(once(place)));
    tables(place, &mut sink).await;
    sink
}

/// Messages that are known by their numbers.
fn numbered(numbers: impl IntoIterator<Item = i64>) -> Batch<i64> {
    batch_of(numbers.into_iter().map(|number| (number, origin(number))))
}

fn origin(number: i64) -> Origin {
    let offset = u64::try_from(number).unwrap();
    Origin::default()
        .identified(format!("n-{number}"))
        .in_partition(3, offset)
}

async fn write(sink: &mut PostgresSink<i64>, batch: Batch<i64>) -> Vec<Result<(), String>> {
    let size = batch.len();
    answers(sink.write(batch).await.unwrap(), size)
}

async fn written(place: &Place) -> Vec<String> {
    place.rows("SELECT number FROM {s}.t ORDER BY 1").await
}

#[tokio::test]
async fn what_comes_again_is_done_and_not_written_again_whatever_writes_it() {
    let Some(place) = Place::new().await else {
        return;
    };
    let (server, table) = (place.server(), place.table("t"));
    for options in [
        PostgresSinkOptions::copy_into(server.clone(), table.clone(), ["number"]),
        PostgresSinkOptions::insert(server.clone(), table.clone(), ["number"]),
        PostgresSinkOptions::statement(server.clone(), format!("INSERT INTO {table} VALUES ($1)")),
    ] {
        let mut sink = sink_of(options.once(once(&place)));
        tables(&place, &mut sink).await;
        assert_eq!(sink.promise(), SinkPromise::Idempotent);
        for numbers in [vec![1, 2, 3], vec![2, 3, 4], vec![1, 2, 3, 4], vec![5, 1]] {
            let told = write(&mut sink, numbered(numbers)).await;
            assert!(failed(&told).is_empty(), "{told:?}");
        }
        let again = [1, 2].map(|attempt| (6, origin(6).attempt(attempt)));
        let told = write(&mut sink, batch_of(again)).await;
        assert!(failed(&told).is_empty(), "{told:?}");
        assert_eq!(written(&place).await, ["1", "2", "3", "4", "5", "6"]);
        let noted = "SELECT scope, identity, source_partition, source_position \
            FROM {s}.applied WHERE identity = 'n-4'";
        assert_eq!(place.rows(noted).await, ["numbers|n-4|3|4"]);
        place.sql("TRUNCATE {s}.t, {s}.applied").await;
    }
}

#[tokio::test]
async fn a_later_delivery_of_an_older_row_does_not_take_the_place_of_a_newer_one() {
    let Some(place) = Place::new().await else {
        return;
    };
    place
        .sql("CREATE TABLE {s}.stock (item text PRIMARY KEY, count bigint)")
        .await;
    let columns = ["item", "count"];
    let options =
        PostgresSinkOptions::upsert(place.server(), place.table("stock"), columns, ["item"]);
    let write_row = |count: &i64, row: &mut Row<'_>| {
        row.add("bolt").add(count);
    };
    let mut sink = PostgresSink::new(options.once(once(&place)), write_row).unwrap();
    tables(&place, &mut sink).await;
    for counts in [vec![1, 2], vec![3], vec![2, 1]] {
        assert!(failed(&write(&mut sink, numbered(counts)).await).is_empty());
    }
    assert_eq!(place.one("SELECT count FROM {s}.stock").await, "3");
}

#[tokio::test]
async fn scopes_are_kept_apart() {
    let Some(place) = Place::new().await else {
        return;
    };
    for scope in ["one", "other"] {
        let once = Once::new(scope).table(place.table("applied"));
        let options = PostgresSinkOptions::copy_into(place.server(), place.table("t"), ["number"]);
        let mut sink = sink_of(options.once(once));
        tables(&place, &mut sink).await;
        write(&mut sink, numbered([1])).await;
    }
    assert_eq!(written(&place).await, ["1", "1"]);
}

#[tokio::test]
async fn a_message_that_nobody_can_know_again_is_rejected_and_the_others_are_written() {
    let Some(place) = Place::new().await else {
        return;
    };
    let mut sink = copying(&place).await;
    let batch = batch_of([(1, origin(1)), (2, Origin::default()), (3, origin(3))]);
    let told = write(&mut sink, batch).await;
    assert_eq!(failed(&told), [1]);
    let why = told[1].as_ref().unwrap_err();
    assert!(
        why.contains("no identity") && why.contains("`once`"),
        "{why}"
    );
    assert_eq!(written(&place).await, ["1", "3"]);
}

#[tokio::test]
async fn messages_that_were_made_of_one_need_names_of_their_own() {
    let Some(place) = Place::new().await else {
        return;
    };
    let mut sink = copying(&place).await;
    let parts = || batch_of([10, 11, 12].map(|part| (part, origin(1))));
    let told = write(&mut sink, parts()).await;
    assert_eq!(failed(&told), [1, 2]);
    assert!(
        told[1].as_ref().unwrap_err().contains("`once_by`"),
        "{told:?}"
    );
    let mut named = sink.once_by(|number| {
        assert_ne!(*number, 99, "no name for this one");
        format!("part {number}")
    });
    for _ in 0..2 {
        assert!(failed(&write(&mut named, parts()).await).is_empty());
    }
    assert_eq!(written(&place).await, ["10", "10", "11", "12"]);
    assert_eq!(failed(&write(&mut named, batch([20, 99, 21])).await), [1]);
}

#[tokio::test]
async fn a_row_that_is_refused_is_not_known_and_can_come_again() {
    let Some(place) = Place::new().await else {
        return;
    };
    let mut sink = copying(&place).await;
    let told = write(&mut sink, numbered([1, 13, 2])).await;
    assert_eq!(failed(&told), [1], "{told:?}");
    assert_eq!(written(&place).await, ["1", "2"]);
    let known = "SELECT string_agg(identity, ' ' ORDER BY identity) FROM {s}.applied";
    assert_eq!(place.one(known).await, "n-1 n-2");
    place
        .sql("ALTER TABLE {s}.t DROP CONSTRAINT t_number_check")
        .await;
    assert!(failed(&write(&mut sink, numbered([13, 2])).await).is_empty());
    assert_eq!(written(&place).await, ["1", "2", "13"]);
}

/// Whoever has written rows waits before its transaction goes on.
async fn slow_down(place: &Place, seconds: f64) {
    place
        .sql(&format!(
            "CREATE TABLE {{s}}.slow AS SELECT {seconds}::float8 AS seconds; \
             CREATE FUNCTION {{s}}.slow() RETURNS trigger LANGUAGE plpgsql AS \
             'BEGIN PERFORM pg_sleep(seconds) FROM {{s}}.slow; RETURN NULL; END'; \
             CREATE TRIGGER slow AFTER INSERT ON {{s}}.t \
             FOR EACH STATEMENT EXECUTE FUNCTION {{s}}.slow()"
        ))
        .await;
}

/// Closes a barrier, at which this trigger keeps whoever has written rows from going on.
async fn close_barrier(place: &Place, trigger: &str) {
    place
        .sql(&format!(
            "CREATE FUNCTION {{s}}.barrier() RETURNS trigger LANGUAGE plpgsql AS \
             $$BEGIN PERFORM pg_advisory_xact_lock_shared(hashtext('{{s}}')); RETURN NULL; END$$; \
             {trigger} EXECUTE FUNCTION {{s}}.barrier(); \
             SELECT pg_advisory_lock(hashtext('{{s}}'))"
        ))
        .await;
}

async fn open_barrier(place: &Place) {
    place
        .sql("SELECT pg_advisory_unlock(hashtext('{s}'))")
        .await;
}

const SLEEPING: &str = "SELECT count(*) FROM pg_stat_activity \
    WHERE application_name = '{s}' AND wait_event = 'PgSleep'";
const WAITING: &str = "SELECT count(*) FROM pg_stat_activity \
    WHERE application_name = '{s}' AND wait_event_type = 'Lock'";

#[tokio::test]
async fn of_two_that_write_the_same_messages_at_once_one_waits_for_the_other_and_writes_none() {
    let Some(place) = Place::new().await else {
        return;
    };
    let mut first = copying(&place).await;
    let mut second = first.clone();
    let trigger = "CREATE TRIGGER barrier AFTER INSERT ON {s}.t FOR EACH STATEMENT";
    close_barrier(&place, trigger).await;
    let later = async {
        place.wait_for(WAITING, "1").await;
        write(&mut second, numbered([3, 2, 1, 4])).await
    };
    let both_wait = async {
        place.wait_for(WAITING, "2").await;
        open_barrier(&place).await;
    };
    let (one, other, ()) = tokio::join!(write(&mut first, numbered([1, 2, 3])), later, both_wait);
    assert!(failed(&one).is_empty() && failed(&other).is_empty());
    assert_eq!(written(&place).await, ["1", "2", "3", "4"]);
}

#[tokio::test]
async fn of_two_that_write_the_same_messages_the_second_writes_them_when_the_first_gives_up() {
    let Some(place) = Place::new().await else {
        return;
    };
    let mut first = copying(&place).await;
    let mut second = first.clone();
    slow_down(&place, 60.0).await;
    let later = async {
        place.wait_for(SLEEPING, "1").await;
        write(&mut second, numbered([1, 2])).await
    };
    let gives_up = async {
        let waits = async {
            place.wait_for(WAITING, "1").await;
            place.sql("DELETE FROM {s}.slow").await;
        };
        tokio::select! {
            told = write(&mut first, numbered([1, 2])) => panic!("{told:?}"),
            () = waits => {}
        }
    };
    let (told, ()) = tokio::join!(later, gives_up);
    assert!(failed(&told).is_empty(), "{told:?}");
    assert_eq!(written(&place).await, ["1", "2"]);
}

#[tokio::test]
async fn many_workers_over_the_same_messages_write_each_once() {
    let Some(place) = Place::new().await else {
        return;
    };
    let sink = copying(&place).await;
    let workers = (0..6).map(|worker| {
        let mut sink = sink.clone();
        async move {
            for round in 0..10 {
                let begin = round * 20 + worker;
                // No number twice in a batch, and each in batches of several workers.
                let numbers = (begin..begin + 60).map(|number| (number * 7 + worker) % 300 + 100);
                assert!(failed(&write(&mut sink, numbered(numbers)).await).is_empty());
            }
        }
    });
    futures_util::future::join_all(workers).await;
    let twice = "SELECT count(*) - count(DISTINCT number) FROM {s}.t";
    assert_eq!(place.one(twice).await, "0");
    let same = "SELECT (SELECT count(*) FROM {s}.t) = (SELECT count(*) FROM {s}.applied)";
    assert_eq!(place.one(same).await, "t");
}

#[tokio::test]
async fn what_is_old_is_forgotten_a_bounded_number_at_a_time() {
    let Some(place) = Place::new().await else {
        return;
    };
    let mut sink = copying(&place).await;
    place
        .sql(
            "INSERT INTO {s}.applied (scope, identity, applied_at) \
             SELECT 'numbers', 'old-' || n, now() - interval '8 days' \
             FROM generate_series(1, 12000) n; \
             INSERT INTO {s}.applied (scope, identity, applied_at) VALUES \
             ('numbers', 'young', now() - interval '6 days'), \
             ('other', 'old', now() - interval '8 days')",
        )
        .await;
    write(&mut sink, numbered([1])).await;
    let count = "SELECT count(*) FROM {s}.applied";
    assert_eq!(place.one(count).await, "2003");
    // The rest is not forgotten at once, but by the next that looks.
    write(&mut sink.clone(), numbered([1])).await;
    let rows = "SELECT scope, identity FROM {s}.applied ORDER BY 2";
    assert_eq!(
        place.rows(rows).await,
        ["numbers|n-1", "other|old", "numbers|young"]
    );
}

/// Cuts the connection while the server commits: it does, and nobody hears of it.
async fn lose_a_commit(
    options: impl Fn(&Place, String) -> PostgresSinkOptions,
) -> Option<(Place, Vec<Result<(), String>>)> {
    let server = or_not_run(Postgres::start())?;
    let place = Place::on(&server).await;
    let mut proxy = Proxy::to(server.address());
    let url = format!("postgres://postgres@{}/postgres", proxy.addr());
    place
        .sql("CREATE TABLE {s}.t (number bigint PRIMARY KEY)")
        .await;
    let trigger = "CREATE CONSTRAINT TRIGGER barrier AFTER INSERT ON {s}.t \
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.number = 1)";
    close_barrier(&place, trigger).await;
    let mut sink = sink_of(options(&place, url));
    sink.create_applied().await.unwrap();
    let cut = async {
        let committing = "SELECT count(*) FROM pg_stat_activity \
            WHERE wait_event_type = 'Lock' AND query = 'COMMIT'";
        place.wait_for(committing, "1").await;
        proxy.cut();
        open_barrier(&place).await;
        place.wait_for("SELECT count(*) FROM {s}.t", "2").await;
        proxy.heal();
    };
    let (told, ()) = tokio::join!(write(&mut sink, numbered([1, 2])), cut);
    drop(sink);
    // The server ends with this.
    let rows = written(&place).await;
    assert_eq!(rows, ["1", "2"]);
    drop(server);
    Some((place, told))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_was_lost_is_found_out_by_once() {
    let lost = lose_a_commit(|place, url| {
        PostgresSinkOptions::copy_into(url, place.table("t"), ["number"]).once(once(place))
    });
    let Some((_, told)) = lost.await else {
        return;
    };
    assert!(failed(&told).is_empty(), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_was_lost_is_told_where_nobody_can_know() {
    let lost = lose_a_commit(|place, url| {
        PostgresSinkOptions::copy_into(url, place.table("t"), ["number"])
    });
    let Some((_, told)) = lost.await else {
        return;
    };
    assert_eq!(failed(&told), [0, 1]);
    for why in told.into_iter().map(Result::unwrap_err) {
        assert!(
            why.contains("SQLSTATE 23505") && why.contains("may have written the row"),
            "{why}"
        );
    }
}

#[tokio::test]
async fn without_the_table_of_identities_the_batch_waits_and_the_setting_is_named() {
    let Some(place) = Place::new().await else {
        return;
    };
    place.sql("CREATE TABLE {s}.t (number bigint)").await;
    let options = PostgresSinkOptions::copy_into(place.server(), place.table("t"), ["number"]);
    let mut sink = sink_of(options.once(once(&place)));
    let reach = sink.reach().unwrap();
    let mut maker = sink.clone();
    let made = async {
        while reach.error().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let error = reach.error().unwrap();
        assert!(
            error.contains("applied") && error.contains("`once.table`"),
            "{error}"
        );
        maker.create_applied().await.unwrap();
    };
    let (told, ()) = tokio::join!(write(&mut sink, numbered([1])), made);
    assert!(failed(&told).is_empty());
    assert_eq!(reach.error(), None);
}

#[tokio::test]
async fn a_batch_without_origins_is_no_batch_for_once() {
    let Some(place) = Place::new().await else {
        return;
    };
    let mut sink = copying(&place).await;
    assert!(sink.reads_origins());
    assert_eq!(failed(&write(&mut sink, batch([1, 2])).await), [0, 1]);
}
