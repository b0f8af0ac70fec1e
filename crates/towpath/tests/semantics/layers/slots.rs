//! Slots: each owns one clone of the service, and calls it for one message at a time.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::sleep;
use tower::Service;
use towpath::{BoxError, Flow, Processor};
use towpath_test::{TestSource, check};

/// A service that counts its clones, and fails a call while another runs in the same clone.
struct Counted {
    clones: Arc<AtomicUsize>,
    calls: Arc<AtomicUsize>,
    busy: Arc<AtomicBool>,
}

impl Counted {
    fn new() -> Self {
        Self {
            clones: Arc::default(),
            calls: Arc::default(),
            busy: Arc::default(),
        }
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        self.clones.fetch_add(1, SeqCst);
        Self {
            clones: self.clones.clone(),
            calls: self.calls.clone(),
            busy: Arc::default(),
        }
    }
}

impl Service<u32> for Counted {
    type Response = u32;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<u32, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, n: u32) -> Self::Future {
        self.calls.fetch_add(1, SeqCst);
        let busy = self.busy.clone();
        Box::pin(async move {
            if busy.swap(true, SeqCst) {
                return Err("two calls at once in one clone".into());
            }
            sleep(Duration::from_millis(u64::from(n % 4))).await;
            busy.store(false, SeqCst);
            Ok(n)
        })
    }
}

#[tokio::test(start_paused = true)]
async fn each_slot_owns_one_clone_of_the_service_for_life() {
    let (source, outcomes) = TestSource::of(0..2000_u32);
    let service = Counted::new();
    let (clones, calls) = (service.clones.clone(), service.calls.clone());
    let report = Flow::from(source)
        .process(
            Processor::service("handle", service)
                .unordered(12)
                .workers(3),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(outcomes.count("done"), 2000);
    assert_eq!(calls.load(SeqCst), 2000);
    // One for each slot, and one that each worker makes them of.
    assert_eq!(clones.load(SeqCst), 12 + 3);
}

#[tokio::test(start_paused = true)]
async fn a_stage_without_work_makes_no_slots() {
    let (source, _) = TestSource::of(Vec::<u32>::new());
    let service = Counted::new();
    let clones = service.clones.clone();
    let report = Flow::from(source)
        .process(
            Processor::service("handle", service)
                .unordered(10_000)
                .workers(1),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(clones.load(SeqCst), 1);
}
