//! Tees: copies for several branches; the required ones decide.

use std::time::Duration;

use towpath::{Flow, Outcome, Processor};
use towpath_test::{Cue, Recorder, TestSource, check};

#[tokio::test(start_paused = true)]
async fn a_message_is_done_when_every_required_branch_is() {
    let (source, outcomes) = TestSource::of(0..50_u32);
    let (fast, slow) = (Recorder::new(), Recorder::new().hang_on_batch(0));
    let running = Flow::from(source)
        .tee("both", |copies| {
            copies
                .required("fast", |flow| flow.sink(fast.sink("write fast")))
                .required("slow", |flow| flow.sink(slow.sink("write slow")))
        })
        .start()
        .await
        .unwrap();

    fast.wait_for(50).await;
    slow.wait_for_batches(1).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(outcomes.total(), 0);
    slow.release();
    let report = running.join().await.unwrap();
    check(&report);
    assert_eq!((outcomes.count("done"), report.counts.emitted), (50, 50));
    assert_eq!((fast.items().len(), slow.items().len()), (50, 50));
}

#[tokio::test(start_paused = true)]
async fn the_worst_outcome_of_the_required_branches_is_the_messages() {
    let (source, outcomes) = TestSource::of(0..6_u32);
    let first = Recorder::new().fail_when(|n| *n == 1 || *n == 3);
    let second = Recorder::new().retry_when(|n| *n == 2 || *n == 3);
    let report = Flow::from(source)
        .tee("both", |copies| {
            copies
                .required("first", |flow| flow.sink(first.sink("write first")))
                .required("second", |flow| flow.sink(second.sink("write second")))
        })
        .run()
        .await
        .unwrap();

    check(&report);
    let words: Vec<_> = (0..6).map(|n| outcomes.only(n).word()).collect();
    assert_eq!(
        words,
        ["done", "rejected", "retried", "retried", "done", "done"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_required_branch_that_hangs_pushes_back_on_the_source() {
    let (source, _) = TestSource::of(0..100_000_u32);
    let (free, hung) = (Recorder::new(), Recorder::new().hang_on_batch(0));
    let pipeline = Flow::from(source).tee("both", |copies| {
        copies
            .required("free", |flow| flow.sink(free.sink("write free")))
            .required("hung", |flow| flow.sink(hung.sink("write hung")))
    });
    let bound = pipeline.explain().bound();
    let running = pipeline.start().await.unwrap();

    hung.wait_for_batches(1).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let counts = running.handle().status().counts;
    assert!(
        counts.emitted <= bound && bound < 2000,
        "{counts:?} {bound}"
    );
    assert!(free.items().len() < 2000);
    hung.release();
    let report = running.join().await.unwrap();
    check(&report);
    assert_eq!((free.items().len(), hung.items().len()), (100_000, 100_000));
}

#[tokio::test(start_paused = true)]
async fn a_best_effort_branch_that_hangs_loses_copies_and_counts_them() {
    let (source, outcomes) = TestSource::of(0..10_000_u32);
    let (main, side) = (Recorder::new(), Recorder::new().hang_on_batch(0));
    let running = Flow::from(source)
        .tee("both", |copies| {
            copies
                .required("main", |flow| flow.sink(main.sink("write main")))
                .best_effort("side", |flow| flow.sink(side.sink("write side")))
        })
        .start()
        .await
        .unwrap();

    outcomes.wait_for(10_000).await;
    assert_eq!(
        (outcomes.count("done"), main.items().len()),
        (10_000, 10_000)
    );
    side.release();
    let report = running.join().await.unwrap();
    check(&report);
    let tee = report
        .stages
        .iter()
        .find(|s| s.name.as_str() == "both")
        .unwrap();
    let written = side.items().len() as u64;
    assert!(tee.counts.lost_copies > 0);
    assert_eq!(written + tee.counts.lost_copies, 10_000);
}

#[tokio::test(start_paused = true)]
async fn a_best_effort_branch_that_fails_changes_no_outcome() {
    let (source, outcomes) = TestSource::of(0..100_u32);
    let main = Recorder::new();
    let side = Cue::new()
        .panic_when(|n| n % 2 == 0)
        .fail_when(|n| n % 3 == 0);
    let report = Flow::from(source)
        .tee("both", |copies| {
            copies
                .required("main", |flow| flow.sink(main.sink("write main")))
                .best_effort("side", |flow| {
                    flow.process(Processor::new("handle", side.handler()))
                        .acknowledge()
                })
        })
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(outcomes.count("done"), 100);
    assert_eq!(report.counts.done, 100);
}

#[tokio::test(start_paused = true)]
async fn a_payload_that_panics_when_cloned_fails_one_message() {
    #[derive(Debug, PartialEq)]
    struct Touchy(u32);
    impl Clone for Touchy {
        fn clone(&self) -> Self {
            assert_ne!(self.0, 5, "cloned");
            Self(self.0)
        }
    }
    let (source, outcomes) = TestSource::of((0..10).map(Touchy));
    let report = Flow::from(source)
        .tee("both", |copies| {
            copies
                .required("first", |flow| {
                    flow.map(|t| t.0).sink(Recorder::new().sink("one"))
                })
                .required("second", |flow| {
                    flow.map(|t| t.0).sink(Recorder::new().sink("two"))
                })
        })
        .run()
        .await
        .unwrap();

    check(&report);
    assert!(matches!(outcomes.only(5), Outcome::Reject(_)));
    assert_eq!(outcomes.count("done"), 9);
}
