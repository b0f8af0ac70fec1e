//! Forks: a router sends each message one way, a tee sends copies several ways.

mod tees;

use std::time::Duration;

use towpath::{Batcher, DeadLetter, Flow, Outcome, Processor, core::find, runtime::UnknownRoute};
use towpath_test::{Cue, Recorder, TestSource, check};

#[tokio::test(start_paused = true)]
async fn each_message_goes_to_the_branch_of_its_route_and_to_no_other() {
    let (source, outcomes) = TestSource::of(0..100_u32);
    let (even, odd) = (Recorder::new(), Recorder::new());
    let report = Flow::from(source)
        .route(
            "parity",
            |n| n % 2 == 0,
            |branches| {
                branches
                    .to(true, |flow| {
                        flow.batch(Batcher::new("collect")).sink(even.sink("even"))
                    })
                    .to(false, |flow| flow.map(u64::from).sink(odd.sink("odd")))
            },
        )
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(even.items(), (0..100).step_by(2).collect::<Vec<_>>());
    assert_eq!(odd.items(), (1..100).step_by(2).collect::<Vec<_>>());
    assert_eq!(outcomes.count("done"), 100);
}

#[tokio::test(start_paused = true)]
async fn every_branch_may_end_without_a_sink() {
    let (source, outcomes) = TestSource::of(0..10_u32);
    let report = Flow::from(source)
        .route(
            "parity",
            |n| n % 2,
            |branches| branches.to(0, Flow::acknowledge).to(1, Flow::acknowledge),
        )
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(outcomes.count("done"), 10);
}

#[tokio::test(start_paused = true)]
async fn each_branch_has_batches_of_its_own_size() {
    let (source, _) = TestSource::of(0..60_u32);
    let (small, large) = (Recorder::new(), Recorder::new());
    let report = Flow::from(source)
        .route(
            "parity",
            |n| n % 2,
            |branches| {
                branches
                    .to(0, |flow| {
                        let batcher = Batcher::new("threes").max_messages(3);
                        flow.batch(batcher).sink(small.sink("small"))
                    })
                    .to(1, |flow| {
                        let batcher = Batcher::new("tens").max_messages(10);
                        flow.batch(batcher).sink(large.sink("large"))
                    })
            },
        )
        .run()
        .await
        .unwrap();

    check(&report);
    assert!(small.batches().iter().all(|(items, _)| items.len() == 3));
    assert!(large.batches().iter().all(|(items, _)| items.len() == 10));
    assert_eq!((small.batches().len(), large.batches().len()), (10, 3));
}

#[tokio::test(start_paused = true)]
async fn a_route_without_a_branch_fails_its_message_only() {
    let (source, outcomes) = TestSource::of(0..30_u32);
    let recorder = Recorder::new();
    let letters = Recorder::<DeadLetter>::new();
    let report = Flow::from(source)
        .route(
            "third",
            |n| n % 3,
            |branches| {
                branches
                    .to(0, |flow| flow.sink(recorder.sink("write")))
                    .to(1, Flow::acknowledge)
            },
        )
        .dead_letter(letters.sink("letters"))
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(
        (outcomes.count("done"), outcomes.count("rejected")),
        (20, 10)
    );
    let Outcome::Reject(cause) = outcomes.only(2) else {
        panic!("not rejected");
    };
    let unknown = find::<UnknownRoute>(cause.error()).expect("the cause is the route");
    assert_eq!(
        (unknown.key.as_str(), cause.stage().as_str()),
        ("2", "third")
    );
    assert_eq!(letters.items().len(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_has_failed_is_not_asked_for_its_route() {
    let (source, outcomes) = TestSource::of(0..10_u32);
    let cue = Cue::new().fail_when(|n| *n == 9);
    let route = |n: &u32| {
        assert_ne!(*n, 9, "asked for the route of what has failed");
        true
    };
    let report = Flow::from(source)
        .process(Processor::new("handle", cue.handler()))
        .route("any", route, |branches| {
            branches.to(true, Flow::acknowledge)
        })
        .run()
        .await
        .unwrap();

    check(&report);
    let Outcome::Reject(cause) = outcomes.only(9) else {
        panic!("not rejected");
    };
    assert_eq!(cause.stage().as_str(), "handle");
    assert_eq!(outcomes.count("done"), 9);
}

#[tokio::test(start_paused = true)]
async fn a_route_function_that_panics_fails_one_message() {
    let (source, outcomes) = TestSource::of(0..10_u32);
    let route = |n: &u32| {
        assert_ne!(*n, 4, "the route of four");
        n % 2
    };
    let report = Flow::from(source)
        .route("parity", route, |branches| {
            branches
                .to(0, Flow::acknowledge)
                .to(1, |odd| odd.sink(Recorder::new().sink("odd")))
        })
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(
        (outcomes.count("done"), outcomes.only(4).word()),
        (9, "rejected")
    );
}

#[tokio::test(start_paused = true)]
async fn a_hung_branch_leaves_the_other_flowing_until_its_own_buffers_are_full() {
    // One message in two hundred goes to the branch that hangs.
    let (source, outcomes) = TestSource::of(0..10_000_u32);
    let (hung, free) = (Recorder::new().hang_on_batch(0), Recorder::new());
    let running = Flow::from(source)
        .route(
            "two hundreds",
            |n| n % 200 == 0,
            |branches| {
                branches
                    .to(true, |flow| flow.sink(hung.sink("hung")))
                    .to(false, |flow| flow.sink(free.sink("free")))
            },
        )
        .start()
        .await
        .unwrap();

    outcomes.wait_for(9_950).await;
    assert_eq!(hung.items().len(), 0);
    assert_eq!((outcomes.count("done"), free.items().len()), (9_950, 9_950));
    hung.release();
    check(&running.join().await.unwrap());
    assert_eq!(hung.items().len(), 50);
}

#[tokio::test(start_paused = true)]
async fn a_hung_branch_pushes_back_on_the_source_once_its_buffers_are_full() {
    let (source, _) = TestSource::of(0..100_000_u32);
    let (hung, free) = (Recorder::new().hang_on_batch(0), Recorder::new());
    let pipeline = Flow::from(source).route(
        "parity",
        |n| n % 2,
        |branches| {
            branches
                .to(0, |flow| flow.sink(hung.sink("hung")))
                .to(1, |flow| flow.sink(free.sink("free")))
        },
    );
    let bound = pipeline.explain().bound();
    let running = pipeline.start().await.unwrap();

    hung.wait_for_batches(1).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let counts = running.handle().status().counts;
    assert!(
        counts.emitted < 2 * bound && bound < 2000,
        "{counts:?} {bound}"
    );
    hung.release();
    let report = running.join().await.unwrap();
    check(&report);
    assert_eq!(report.counts.done, 100_000);
}
