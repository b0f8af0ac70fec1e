//! What workers have in hand is part of the bound.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use tokio::time::sleep;
use towpath::{Batch, BoxError, Flow, Processor, Report, Running, processor::operator::Pass};
use towpath_test::{Cue, Recorder, TestSource, assert_no_leaks};

use super::{HOUR, MINUTE};

fn endless() -> Flow<Pass<u64>> {
    Flow::from(TestSource::new(0..100_000_u64).endless().build().0)
}

/// Lets a pipeline fill up, and ends it; what was in flight at most, and the bound.
async fn fill(running: Running) -> (u64, u64) {
    sleep(MINUTE).await;
    running.handle().drain();
    let report: Report = running.join().await.unwrap();
    assert_no_leaks(&report);
    (report.counts.high_water, report.bound)
}

#[tokio::test(start_paused = true)]
async fn what_the_workers_of_a_sink_write_has_its_place_in_the_link_before_it() {
    for (workers, max_demand) in [(1, 3), (2, 1), (3, 1), (3, 3), (3, 200)] {
        let sink = Recorder::new().delay(HOUR).sink("sink").workers(workers);
        let pipeline = endless().sink(sink).max_demand(max_demand);
        let (most, bound) = fill(pipeline.start().await.unwrap()).await;
        let link = (1 + workers + 2) * max_demand;
        assert_eq!(most, link as u64, "every chunk is full, and no more");
        assert_eq!(bound, (link + max_demand) as u64);
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_of_several_workers_behind_a_stage_of_several_stays_within_the_bound() {
    for max_demand in [2, 3] {
        let cue = Cue::new()
            .delay_by(|n| Duration::from_millis(n % 2))
            .fail_when(|n| n % 14 == 1)
            .retry_when(|n| n % 15 == 2)
            .panic_when(|n| n % 16 == 3);
        let recorder = Recorder::new().delay(Duration::from_millis(2));
        let report = Flow::from(TestSource::new(0..140_u64).build().0)
            .process(
                Processor::new("work", cue.handler())
                    .unordered(4)
                    .workers(2),
            )
            .sink(recorder.sink("sink").workers(3))
            .max_demand(max_demand)
            .run()
            .await
            .unwrap();
        assert_no_leaks(&report);
        assert_eq!(report.bound, 15 * max_demand as u64);
    }
}

#[tokio::test(start_paused = true)]
async fn what_operators_have_made_for_a_worker_that_is_busy_is_part_of_the_bound() {
    // Each of three workers has room for 21 calls and takes chunks of 20: it is left with 19.
    let work = Processor::new("work", Cue::new().delay(HOUR).handler());
    let pipeline = endless()
        .map(|n| n)
        .process(work.unordered(63).workers(3))
        .acknowledge()
        .max_demand(20);
    let (most, bound) = fill(pipeline.start().await.unwrap()).await;
    assert_eq!(bound, 6 * 20 + 63 + 20 + 3 * 20);
    assert!(most >= 6 * 20 + 63, "{most}");
}

#[tokio::test(start_paused = true)]
async fn a_chunk_whose_rest_went_back_leaves_what_was_made_of_it_within_the_bound() {
    // The 19th message of each chunk becomes two: a bundle is full before the 20th, which goes
    // back for another worker. Three bundles hang, once the rests of those before are written.
    let sink = towpath::write("sink", |batch: Batch<u64>| async move {
        if batch.len() == 20 && [0, 100, 200].contains(&batch.items()[0]) {
            sleep(HOUR).await;
        }
        Ok::<_, BoxError>(())
    });
    let pipeline = endless()
        .flat_map(|n| vec![n; if n % 20 == 18 { 2 } else { 1 }])
        .sink(sink.workers(3))
        .max_demand(20);
    let (most, bound) = fill(pipeline.start().await.unwrap()).await;
    assert_eq!(bound, 6 * 20 + 20 + 3 * 20);
    assert!(most > 6 * 20 + 20, "{most}: more than the chunks hold");
}
