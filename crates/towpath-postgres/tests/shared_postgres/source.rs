//! Taking messages out of a queue, and telling what became of them.

use std::{collections::HashSet, time::Duration};

use tokio::time::{Instant, sleep};
use towpath::{
    Batcher, BoxError, Flow, Headers, Outcome, Processor, Source,
    core::{Acknowledger as _, Intake, Producer as _, Settled},
};
use towpath_postgres::{
    Entry, PostgresAcknowledger, PostgresMessage, PostgresSource, PostgresSourceOptions, WhenDone,
};
use towpath_test::{Recorder, check};

use crate::{
    place::{PATIENCE, Place},
    queue::queue,
    take::{settle, take, taken},
};

/// Longer than a busy machine stands still, with a third of it gone already.
const LEASE: Duration = Duration::from_secs(4);

fn options(place: &Place) -> PostgresSourceOptions {
    PostgresSourceOptions::new(place.server(), place.table("jobs"))
}

fn source_of(options: PostgresSourceOptions) -> (PostgresSource, PostgresAcknowledger) {
    let mut source = PostgresSource::new(options).unwrap();
    let acknowledger = source.acknowledger().unwrap();
    (source, acknowledger)
}

fn short(place: &Place) -> PostgresSourceOptions {
    options(place).lease(LEASE).answer_within(LEASE)
}

#[tokio::test]
async fn one_source_gets_messages_in_the_order_of_their_ids() {
    let Some(place) = Place::new().await else {
        return;
    };
    let mut queue = queue(&place).await;
    let (mut source, mut acknowledger) = source_of(options(&place));
    let mut came = Vec::new();
    for wave in 0..5 {
        let texts = (0..40).map(|n| (wave * 40 + n).to_string());
        queue.enqueue_many(texts).await.unwrap();
        for room in [7, 16, 1] {
            let some = take(&mut source, room).await;
            assert!(some.len() <= room);
            came.extend(taken(&some));
            settle(&mut acknowledger, some, &Outcome::Done).await;
        }
    }
    while came.len() < 200 {
        came.extend(taken(&take(&mut source, 64).await));
    }
    let expected: Vec<_> = (0..200).map(|n| n.to_string()).collect();
    assert_eq!(came, expected);
}

#[tokio::test]
async fn no_message_is_with_two_sources_at_once() {
    let Some(place) = Place::new().await else {
        return;
    };
    let mut queue = queue(&place).await;
    queue
        .enqueue_many((0..600).map(|n| n.to_string()))
        .await
        .unwrap();
    let takers = (0..4).map(|_| {
        let (mut source, acknowledger) = source_of(options(&place));
        async move {
            let mut all = Vec::new();
            while all.len() < 150 {
                let room = 13.min(150 - all.len());
                all.extend(take(&mut source, room).await);
            }
            (all, acknowledger)
        }
    });
    let mut seen = HashSet::new();
    for (came, mut acknowledger) in futures_util::future::join_all(takers).await {
        assert!(taken(&came).into_iter().all(|text| seen.insert(text)));
        let settled = settle(&mut acknowledger, came, &Outcome::Done).await;
        assert_eq!(settled, Settled::confirmed(150));
    }
    assert_eq!(seen.len(), 600);
    assert_eq!(place.one("SELECT count(*) FROM {s}.jobs").await, "0");
}

#[tokio::test]
async fn an_outcome_after_the_lease_changes_nothing_when_somebody_else_has_the_message() {
    let Some(place) = Place::new().await else {
        return;
    };
    queue(&place).await.enqueue("slow work").await.unwrap();
    let (mut slow, mut too_late) = source_of(short(&place));
    let (mut other, mut in_time) = source_of(options(&place));
    let first = take(&mut slow, 1).await;
    let second = take(&mut other, 1).await;
    assert_eq!(second[0].2.attempt, 2);
    assert_eq!(first[0].2.identity, second[0].2.identity);
    assert_eq!(
        settle(&mut too_late, first, &Outcome::Done).await,
        Settled::stale(1)
    );
    assert_eq!(place.one("SELECT count(*) FROM {s}.jobs").await, "1");
    assert_eq!(
        settle(&mut in_time, second, &Outcome::Done).await,
        Settled::confirmed(1)
    );
    assert_eq!(place.one("SELECT count(*) FROM {s}.jobs").await, "0");
}

#[tokio::test]
async fn an_outcome_after_the_lease_counts_while_nobody_else_has_the_message() {
    let Some(place) = Place::new().await else {
        return;
    };
    queue(&place).await.enqueue("slow work").await.unwrap();
    let (mut source, mut acknowledger) = source_of(short(&place));
    let came = take(&mut source, 1).await;
    place
        .wait_for(
            "SELECT count(*) FROM {s}.jobs WHERE lease_until < now()",
            "1",
        )
        .await;
    assert_eq!(
        settle(&mut acknowledger, came, &Outcome::Done).await,
        Settled::confirmed(1)
    );
}

#[tokio::test]
async fn a_lease_is_extended_as_long_as_the_token_lives() {
    let Some(place) = Place::new().await else {
        return;
    };
    queue(&place)
        .await
        .enqueue_many(["kept", "let go"])
        .await
        .unwrap();
    let (mut source, mut acknowledger) = source_of(short(&place));
    let (mut other, _) = source_of(options(&place));
    let mut came = take(&mut source, 2).await;
    drop(came.pop());
    let every = acknowledger.extend_every().unwrap();
    assert_eq!(every, LEASE / 3);
    let extended = async {
        let end = Instant::now() + 3 * LEASE;
        while Instant::now() < end {
            acknowledger.extend().await.unwrap();
            sleep(every).await;
        }
    };
    let (others, ()) = tokio::join!(take(&mut other, 2), extended);
    assert_eq!(taken(&others), ["let go"]);
    assert_eq!(
        settle(&mut acknowledger, came, &Outcome::Done).await,
        Settled::confirmed(1)
    );
}

#[tokio::test]
async fn a_message_is_not_held_for_longer_than_it_may_be() {
    let Some(place) = Place::new().await else {
        return;
    };
    queue(&place).await.enqueue("hangs").await.unwrap();
    let (mut source, mut acknowledger) = source_of(short(&place).hold_at_most(LEASE));
    let (mut other, _) = source_of(options(&place));
    let came = take(&mut source, 1).await;
    let extended = async {
        loop {
            acknowledger.extend().await.unwrap();
            sleep(LEASE / 3).await;
        }
    };
    let others = tokio::select! {
        others = take(&mut other, 1) => others,
        () = extended => Vec::new(),
    };
    assert_eq!(taken(&others), ["hangs"]);
    drop(came);
}

#[tokio::test]
async fn what_is_given_back_comes_again_after_its_delay_and_counts_its_attempts() {
    let Some(place) = Place::new().await else {
        return;
    };
    let headers: Headers = [("tenant", "a"), ("traceparent", "old")]
        .into_iter()
        .collect();
    let entry = Entry::new("again").headers(headers);
    queue(&place).await.enqueue(entry).await.unwrap();
    // It is looked for when it is due, and not only once in a while.
    let (mut source, mut acknowledger) = source_of(options(&place).poll_interval(2 * PATIENCE));
    let came = take(&mut source, 1).await;
    assert_eq!(came[0].2.attempt, 1);
    let trace: Headers = [("traceparent", "new")].into_iter().collect();
    let outcome = Outcome::Retry {
        after: Duration::from_millis(300),
        attempts: 3,
        trace: Some(Box::new(trace)),
    };
    let begun = Instant::now();
    assert_eq!(
        settle(&mut acknowledger, came, &outcome).await,
        Settled::confirmed(1)
    );
    let again = take(&mut source, 1).await;
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_millis(300), "{waited:?}");
    let origin = &again[0].2;
    assert_eq!(origin.attempt, 4);
    let headers = [("tenant", "a"), ("traceparent", "new")];
    assert_eq!(origin.headers.iter().collect::<Vec<_>>(), headers);
    let mut other_acknowledger = acknowledger;
    settle(&mut other_acknowledger, again, &Outcome::retry()).await;
    let third = take(&mut source, 1).await;
    assert_eq!(
        (third[0].2.attempt, third[0].2.headers.get("traceparent")),
        (5, Some("new"))
    );
}

#[tokio::test]
async fn a_source_that_waits_is_woken_by_what_is_given_back() {
    let Some(place) = Place::new().await else {
        return;
    };
    queue(&place).await.enqueue("again").await.unwrap();
    let options = options(&place).poll_interval(2 * PATIENCE).listen(false);
    let (mut source, mut acknowledger) = source_of(options);
    let came = take(&mut source, 1).await;
    let given_back = async {
        let idle = "SELECT count(*) FROM pg_stat_activity WHERE application_name = '{s}' \
            AND state = 'idle' AND query LIKE '%min(lease_until)%'";
        place.wait_for(idle, "1").await;
        settle(&mut acknowledger, came, &Outcome::retry()).await;
    };
    let (again, ()) = tokio::join!(take(&mut source, 1), given_back);
    assert_eq!(taken(&again), ["again"]);
}

#[tokio::test]
async fn attempts_of_the_pipeline_before_count_on() {
    let Some(place) = Place::new().await else {
        return;
    };
    let headers: Headers = [("towpath-attempt", "4")].into_iter().collect();
    queue(&place)
        .await
        .enqueue(Entry::new("on").headers(headers))
        .await
        .unwrap();
    let (mut source, _) = source_of(options(&place));
    assert_eq!(take(&mut source, 1).await[0].2.attempt, 4);
}

#[tokio::test]
async fn a_message_that_is_delayed_does_not_come_before() {
    let Some(place) = Place::new().await else {
        return;
    };
    let mut queue = queue(&place).await;
    let delay = Duration::from_millis(400);
    let begun = Instant::now();
    queue
        .enqueue(Entry::new("later").delay(delay))
        .await
        .unwrap();
    queue.enqueue("now").await.unwrap();
    let (mut source, _) = source_of(options(&place));
    assert_eq!(taken(&take(&mut source, 5).await), ["now"]);
    assert_eq!(taken(&take(&mut source, 5).await), ["later"]);
    assert!(begun.elapsed() >= delay);
}

#[tokio::test]
async fn what_is_rejected_or_left_out_is_done_with() {
    let Some(place) = Place::new().await else {
        return;
    };
    let mut queue = queue(&place).await;
    queue.enqueue_many(["a", "b", "c"]).await.unwrap();
    let (source, _) = source_of(options(&place));
    let work = |job: PostgresMessage| async move {
        match &job.payload[..] {
            b"a" => Err(BoxError::from("no good")),
            b"b" => Err(towpath::Failure::drop("not wanted").into()),
            _ => Ok(()),
        }
    };
    let pipeline = Flow::from(Source::new("jobs", source))
        .process(Processor::new("work", work))
        .acknowledge();
    let running = pipeline.start().await.unwrap();
    place.wait_for("SELECT count(*) FROM {s}.jobs", "0").await;
    running.handle().drain();
    let report = running.join().await.unwrap();
    check(&report);
    let counts = report.counts;
    assert_eq!((counts.rejected, counts.dropped, counts.done), (1, 1, 1));
}

#[tokio::test]
async fn done_rows_stay_with_their_time_where_that_is_wanted() {
    let Some(place) = Place::new().await else {
        return;
    };
    queue(&place).await.enqueue_many(["a", "b"]).await.unwrap();
    let (mut source, mut acknowledger) =
        source_of(short(&place).when_done(WhenDone::Keep).poll_interval(LEASE));
    let mut came = take(&mut source, 2).await;
    let b = came.split_off(1);
    assert_eq!(
        settle(&mut acknowledger, came, &Outcome::Done).await,
        Settled::confirmed(1)
    );
    settle(&mut acknowledger, b, &Outcome::retry()).await;
    assert_eq!(taken(&take(&mut source, 2).await), ["b"]);
    let rows = "SELECT id, done_at IS NOT NULL, lease_until IS NULL FROM {s}.jobs ORDER BY id";
    assert_eq!(place.rows(rows).await, ["1|t|t", "2|f|f"]);
}

#[tokio::test]
async fn what_was_received_and_not_handed_out_goes_back_when_the_source_drains() {
    let Some(place) = Place::new().await else {
        return;
    };
    queue(&place)
        .await
        .enqueue_many((0..10).map(|n| n.to_string()))
        .await
        .unwrap();
    let (mut source, _) = source_of(options(&place));
    let mut intake = Intake::new();
    // The call is dropped over and over: first while it connects, then while it claims.
    let claimed = "SELECT count(*) FROM {s}.jobs WHERE lease_until IS NOT NULL";
    while place.one(claimed).await == "0" {
        intake.ask(10);
        let receiving = source.receive(&mut intake);
        drop(tokio::time::timeout(Duration::from_millis(1), receiving).await);
        if !intake.is_empty() {
            break;
        }
    }
    let handed_out = intake.len();
    source.drain(&mut intake).await.unwrap();
    let left = (10 - handed_out).to_string();
    let back = "SELECT count(*) FROM {s}.jobs WHERE lease_until IS NULL AND deliveries = 0";
    assert_eq!(place.one(back).await, left);
}

#[tokio::test]
async fn how_many_wait_is_known_and_sampled_while_nothing_is_taken() {
    let Some(place) = Place::new().await else {
        return;
    };
    let mut queue = queue(&place).await;
    queue
        .enqueue_many((0..50).map(|n| n.to_string()))
        .await
        .unwrap();
    let (mut source, mut acknowledger) = source_of(options(&place));
    let lag = source.lag().unwrap();
    assert_eq!(lag.get(), None);
    let came = take(&mut source, 10).await;
    assert_eq!(lag.get(), Some(50));
    queue
        .enqueue(Entry::new("later").delay(Duration::from_secs(60)))
        .await
        .unwrap();
    while lag.get() != Some(40) {
        acknowledger.extend().await.unwrap();
        sleep(Duration::from_millis(20)).await;
    }
    drop(came);
}

#[tokio::test]
async fn a_full_queue_goes_through_in_bounded_memory() {
    let Some(place) = Place::new().await else {
        return;
    };
    queue(&place).await;
    place
        .sql(
            "INSERT INTO {s}.jobs (payload) \
        SELECT decode(repeat('ab', 1000), 'hex') FROM generate_series(1, 100000)",
        )
        .await;
    place.sql("ANALYZE {s}.jobs").await;
    let (source, _) = source_of(options(&place));
    let before = resident();
    let pipeline = Flow::from(Source::new("jobs", source))
        .batch(Batcher::new("rows").max_messages(500))
        .sink(towpath::write(
            "count",
            |_: towpath::Batch<PostgresMessage>| async { Ok::<_, BoxError>(()) },
        ))
        .max_demand(500);
    let running = pipeline.start().await.unwrap();
    for upto in [25_000, 50_000, 75_000, 100_000] {
        let left = format!("SELECT EXISTS (SELECT FROM {{s}}.jobs WHERE id <= {upto})");
        place.wait_for(&left, "f").await;
    }
    let grown = resident().saturating_sub(before);
    running.handle().drain();
    let report = running.join().await.unwrap();
    check(&report);
    assert_eq!(report.counts.done, 100_000);
    // They are 100 MB together.
    assert!(grown < 40 << 20, "{grown} bytes");
}

/// The memory of this process, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kilobytes.unwrap_or(0_u64) << 10
}

#[tokio::test]
async fn a_pause_that_outlasts_the_lease_gives_no_message_to_two() {
    let Some(place) = Place::new().await else {
        return;
    };
    let mut queue = queue(&place).await;
    let (source, _) = source_of(short(&place));
    let recorder = Recorder::new();
    let pipeline = Flow::from(Source::new("jobs", source))
        .map(|job: PostgresMessage| job.id)
        .sink(recorder.sink("record"));
    let running = pipeline.start().await.unwrap();
    let handle = running.handle().clone();
    queue.enqueue("before").await.unwrap();
    recorder.wait_for(1).await;
    handle.pause();
    queue.enqueue("in between").await.unwrap();
    sleep(2 * LEASE).await;
    let (mut other, mut acknowledger) = source_of(options(&place));
    let came = take(&mut other, 1).await;
    assert_eq!(taken(&came), ["in between"]);
    handle.resume();
    queue.enqueue("after").await.unwrap();
    recorder.wait_for(2).await;
    assert_eq!(recorder.items(), [1, 3]);
    assert_eq!(
        settle(&mut acknowledger, came, &Outcome::Done).await,
        Settled::confirmed(1)
    );
    handle.drain();
    check(&running.join().await.unwrap());
}
