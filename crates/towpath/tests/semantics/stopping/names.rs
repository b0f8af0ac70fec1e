//! One pipeline of a name at a time, to its very end.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;
use towpath::{BoxError, BuildError, Ending, Flow, Processor, find};
use towpath_test::{Cue, TestSource, assert_no_leaks, check};

use super::{HOUR, SECOND, hung};

#[tokio::test(start_paused = true)]
async fn two_pipelines_of_one_name_are_refused_and_the_name_is_free_after_the_end() {
    let (first, cue, _) = hung("only one", 1);
    let first = first.start().await.unwrap();
    let (second, ..) = hung("only one", 1);
    let refused = second.start().await.unwrap_err();
    assert!(matches!(refused, BuildError::NameTaken { pipeline } if pipeline == "only one".into()));
    cue.release();
    first.handle().drain();
    assert_no_leaks(&first.join().await.unwrap());
    let (third, cue, _) = hung("only one", 1);
    cue.release();
    let third = third.start().await.unwrap();
    third.handle().stop(SECOND).await;
    assert_no_leaks(&third.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_successor_never_runs_beside_what_is_left_of_a_pipeline_of_its_name() {
    let cue = Cue::new().hang_when(|_| true);
    let start = || {
        let (source, _) = TestSource::new(0..1_u64).endless().build();
        let processor = Processor::new("work", cue.handler());
        Flow::from(source)
            .process(processor)
            .acknowledge()
            .named("successor")
            .start()
    };
    for generation in 1..=5 {
        let running = start().await.unwrap();
        cue.wait_for(generation).await;
        let handle = running.handle().clone();
        if generation % 2 == 0 {
            drop(running);
            handle.stopped().await;
        } else {
            handle.stop(SECOND).await;
            check(&running.join().await.unwrap());
        }
    }
    assert_eq!((cue.calls(), cue.max_running()), (5, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_blocks_its_thread_keeps_the_name_but_not_the_report() {
    let entered = Arc::new(Notify::new());
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Arc::new(std::sync::Mutex::new(released));
    let start = || {
        let (entered, released) = (entered.clone(), released.clone());
        let block = move |n: u64| {
            let (entered, released) = (entered.clone(), released.clone());
            async move {
                entered.notify_one();
                released.lock().unwrap().recv().unwrap();
                Ok::<_, BoxError>(n)
            }
        };
        let (source, _) = TestSource::new(0..1_u64).endless().build();
        let processor = Processor::new("work", block);
        Flow::from(source)
            .process(processor)
            .acknowledge()
            .named("blocks")
            .start()
    };
    let running = start().await.unwrap();
    entered.notified().await;
    running.handle().stop(Duration::ZERO).await;
    let report = running.join().await.unwrap();
    assert_eq!(
        (&report.ending, report.left),
        (&Ending::DeadlineExceeded, 1)
    );
    assert!(
        matches!(start().await, Err(BuildError::NameTaken { .. })),
        "it still runs"
    );
    release.send(()).unwrap();
    while find("blocks").is_some() {
        tokio::task::yield_now().await;
    }
    release.send(()).unwrap();
    let successor = start().await.unwrap();
    entered.notified().await;
    successor.handle().stop(HOUR).await;
    check(&successor.join().await.unwrap());
}
