//! Readiness: a service is asked before a message is taken, and only with one at hand.

use std::{
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{sync::Semaphore, time::sleep};
use tower::{Service, limit::GlobalConcurrencyLimitLayer};
use towpath::{BoxError, Flow, Outcome, Processor};
use towpath_test::{Cue, Probe, Recorder, TestSource, check};

type Gate = Arc<dyn Fn(usize, &mut Context<'_>) -> Poll<Result<(), BoxError>> + Send + Sync>;

/// A service that is ready when its gate says so, and is only ever called after that.
struct Gated {
    gate: Gate,
    clones: Arc<AtomicUsize>,
    number: usize,
    readied: bool,
}

impl Gated {
    /// The gate is asked with the number of the clone.
    fn new(
        gate: impl Fn(usize, &mut Context<'_>) -> Poll<Result<(), BoxError>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            gate: Arc::new(gate),
            clones: Arc::default(),
            number: 0,
            readied: false,
        }
    }
}

impl Clone for Gated {
    fn clone(&self) -> Self {
        Self {
            gate: self.gate.clone(),
            clones: self.clones.clone(),
            number: self.clones.fetch_add(1, SeqCst) + 1,
            readied: false,
        }
    }
}

impl Service<u32> for Gated {
    type Response = u32;
    type Error = BoxError;
    type Future = Ready<Result<u32, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let polled = (self.gate)(self.number, cx);
        self.readied = matches!(polled, Poll::Ready(Ok(())));
        polled
    }

    fn call(&mut self, n: u32) -> Self::Future {
        let readied = std::mem::take(&mut self.readied);
        ready(if readied {
            Ok(n)
        } else {
            Err("called without having been ready".into())
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_is_never_called_before_it_is_ready() {
    let (source, outcomes) = TestSource::of(0..500_u32);
    let asked = AtomicUsize::new(0);
    // Ready every third time; otherwise it wakes the asker at once.
    let service = Gated::new(move |_, cx| {
        if asked.fetch_add(1, SeqCst) % 3 == 2 {
            return Poll::Ready(Ok(()));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    });
    let report = Flow::from(source)
        .process(
            Processor::service("handle", service)
                .unordered(8)
                .workers(2),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(outcomes.count("done"), 500);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_ready_takes_no_message() {
    let (source, outcomes) = TestSource::new(0..5000_u32).endless().build();
    let service = Gated::new(|_, _| Poll::Pending);
    let pipeline = Flow::from(source)
        .process(Processor::service("handle", service))
        .acknowledge();
    let bound = pipeline.explain().bound();
    let running = pipeline.start().await.unwrap();

    sleep(Duration::from_secs(60)).await;
    let status = running.handle().status();
    assert_eq!(status.stages[0].counts.received, 0);
    assert!(status.counts.in_flight <= bound && bound < 5000, "{bound}");
    running.handle().stop(Duration::from_secs(1)).await;
    let report = running.join().await.unwrap();
    check(&report);
    assert_eq!(outcomes.count("retried"), outcomes.total());
    assert_eq!(report.counts.done, 0);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_ready_leaves_its_messages_to_the_other_workers() {
    let (source, outcomes) = TestSource::of(0..500_u32);
    // The first clone of all is the first worker's; whatever comes of it is never ready.
    let stuck = Arc::new(AtomicUsize::new(0));
    let service = Gated::new(move |number, _| {
        let first = match stuck.compare_exchange(0, number, SeqCst, SeqCst) {
            Ok(_) => number,
            Err(first) => first,
        };
        if number == first {
            Poll::Pending
        } else {
            Poll::Ready(Ok(()))
        }
    });
    let running = Flow::from(source)
        .process(
            Processor::service("handle", service)
                .unordered(4)
                .workers(2),
        )
        .acknowledge()
        .start()
        .await
        .unwrap();

    // What the stuck worker holds itself is at most a message; all else is for the other.
    outcomes.wait_for(499).await;
    running.handle().stop(Duration::from_secs(1)).await;
    let report = running.join().await.unwrap();
    check(&report);
    assert!(report.counts.done >= 499, "{:?}", report.counts);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_fails_to_get_ready_fails_one_message_and_is_replaced() {
    let (source, outcomes) = TestSource::of(0..50_u32);
    let asked = AtomicUsize::new(0);
    let service = Gated::new(move |_, _| {
        Poll::Ready(match asked.fetch_add(1, SeqCst) {
            7 => Err("no connection".into()),
            _ => Ok(()),
        })
    });
    let clones = service.clones.clone();
    let report = Flow::from(source)
        .process(Processor::service("handle", service).unordered(1))
        .acknowledge()
        .run()
        .await
        .unwrap();

    check(&report);
    let Outcome::Reject(cause) = outcomes.only(7) else {
        panic!("not rejected");
    };
    assert_eq!(cause.chain(), ["no connection"]);
    assert_eq!(outcomes.count("done"), 49);
    assert!(clones.load(SeqCst) >= 2, "the slot has a new clone");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_panics_when_asked_fails_one_message() {
    let (source, outcomes) = TestSource::of(0..50_u32);
    let asked = AtomicUsize::new(0);
    let service = Gated::new(move |_, _| {
        assert_ne!(asked.fetch_add(1, SeqCst), 7, "asked the eighth time");
        Poll::Ready(Ok(()))
    });
    let report = Flow::from(source)
        .process(
            Processor::service("handle", service)
                .unordered(2)
                .workers(1),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(
        (outcomes.count("done"), outcomes.count("rejected")),
        (49, 1)
    );
    assert_eq!(report.stages[0].counts.restarts, 0);
}

#[tokio::test(start_paused = true)]
async fn a_slot_without_a_message_holds_no_permit() {
    // Two pipelines share one permit; the idle one must not sit on it.
    let limit = GlobalConcurrencyLimitLayer::with_semaphore(Arc::new(Semaphore::new(1)));
    let cue = Cue::new();
    let (idle_source, idle) = Probe::<u32>::new();
    let idle_pipeline = Flow::from(idle_source)
        .process(Processor::new("idle", cue.handler()).layer(limit.clone()))
        .acknowledge()
        .start()
        .await
        .unwrap();

    assert!(idle.send(1).await.is_done());
    let (source, outcomes) = TestSource::of(0..20_u32);
    let recorder = Recorder::new();
    let busy = Flow::from(source)
        .process(Processor::new("busy", cue.handler()).layer(limit))
        .sink(recorder.sink("write"))
        .run();
    let report = tokio::time::timeout(Duration::from_secs(60), busy).await;
    check(&report.expect("the permit is free").unwrap());
    assert_eq!(outcomes.count("done"), 20);
    assert!(idle.send(2).await.is_done());
    drop(idle);
    check(&idle_pipeline.join().await.unwrap());
}
