//! Whole pipelines: from a queue into a table.

use std::time::Duration;

use towpath::{Batcher, BoxError, Flow, Guarantee, Processor, Source, batcher::SinkStage};
use towpath_postgres::{
    Once, PostgresMessage, PostgresQueue, PostgresQueueOptions, PostgresSink, PostgresSinkOptions,
    PostgresSource, PostgresSourceOptions, Row,
};
use towpath_test::check;

use crate::place::Place;

fn number(job: &PostgresMessage) -> i64 {
    std::str::from_utf8(&job.payload).unwrap().parse().unwrap()
}

#[tokio::test]
async fn messages_go_from_a_queue_into_a_table_and_their_rows_are_gone_from_the_queue() {
    let Some(place) = Place::new().await else {
        return;
    };
    place
        .sql("CREATE TABLE {s}.stored (id bigint, text text)")
        .await;
    let options = PostgresQueueOptions::new(place.server(), place.table("jobs"));
    let mut queue = PostgresQueue::new(options).unwrap();
    queue.create().await.unwrap();
    let texts = (0..500).map(|number| number.to_string());
    assert_eq!(queue.enqueue_many(texts).await.unwrap().len(), 500);

    let options = PostgresSourceOptions::new(place.server(), place.table("jobs"));
    let source = PostgresSource::new(options).unwrap();
    let options =
        PostgresSinkOptions::copy_into(place.server(), place.table("stored"), ["id", "text"])
            .once(Once::new("stored").table(place.table("applied")));
    let mut sink = PostgresSink::new(options, |number: &i64, row: &mut Row<'_>| {
        row.add(number).add(format!("number {number}"));
    })
    .unwrap();
    sink.create_applied().await.unwrap();

    let numbers = Processor::new("read", |job: PostgresMessage| async move {
        Ok::<_, BoxError>(number(&job))
    });
    let pipeline = Flow::from(Source::new("jobs", source))
        .process(numbers)
        .batch(
            Batcher::new("rows")
                .max_messages(100)
                .max_wait(Duration::from_millis(50)),
        )
        .sink(SinkStage::of("stored", sink).workers(2))
        .require(Guarantee::EffectivelyOnce);
    let running = pipeline.start().await.unwrap();
    place.wait_for("SELECT count(*) FROM {s}.jobs", "0").await;
    let handle = running.handle().clone();
    handle.stop(Duration::from_secs(5)).await;
    let report = running.join().await.unwrap();
    check(&report);
    assert_eq!(report.counts.done, 500);
    let settled = &report.sources[0].settled;
    assert_eq!(
        (settled.confirmed, settled.stale, settled.failed),
        (500, 0, 0)
    );
    let stored = "SELECT count(*), count(DISTINCT id), min(text) FROM {s}.stored";
    assert_eq!(place.one(stored).await, "500|500|number 0");
    assert_eq!(place.one("SELECT count(*) FROM {s}.applied").await, "500");
}
