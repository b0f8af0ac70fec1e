//! A stage that works on as many messages at once as its service bears.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep};
use towpath::{
    BoxError, Concurrency, Flow, Ingress, Overflow, Pipeline, PipelineHandle, PolicyStatus,
    Processor, Source,
    policy::{Class, classify_fn},
};
use towpath_test::{Outcomes, TestSource, check};

use super::limiting::{SECOND, float, ms};

/// A service that bears so many calls at once; beyond that they take longer, all of them.
#[derive(Clone, Debug)]
struct Backend(Arc<Load>);

#[derive(Debug)]
struct Load {
    capacity: AtomicUsize,
    running: AtomicUsize,
    most: AtomicUsize,
    served: AtomicUsize,
    /// Rejects what is beyond twice its capacity, in place of making it wait.
    sheds: bool,
}

/// How long a call takes when nobody waits.
const TAKES: Duration = Duration::from_millis(20);

impl Backend {
    fn bearing(capacity: usize, sheds: bool) -> Self {
        Self(Arc::new(Load {
            capacity: AtomicUsize::new(capacity),
            running: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            served: AtomicUsize::new(0),
            sheds,
        }))
    }

    async fn call(self, n: u64) -> Result<u64, BoxError> {
        let load = &*self.0;
        let running = load.running.fetch_add(1, SeqCst) + 1;
        load.most.fetch_max(running, SeqCst);
        let capacity = load.capacity.load(SeqCst);
        let shed = load.sheds && running > 2 * capacity;
        let ratio = (float(running) / float(capacity)).max(1.0);
        // No two calls take the same time, and no seed is needed for that.
        let noise = Duration::from_micros(19_000 + n * 7919 % 2001);
        sleep(noise.mul_f64(if shed { 0.1 } else { ratio })).await;
        load.running.fetch_sub(1, SeqCst);
        if shed {
            return Err("too busy".into());
        }
        load.served.fetch_add(1, SeqCst);
        Ok(n)
    }

    /// For [`Processor::new`].
    fn handler(
        &self,
    ) -> impl Fn(u64) -> super::limiting::Handled<u64> + Clone + Send + Sync + use<> {
        let backend = self.clone();
        move |n| Box::pin(backend.clone().call(n))
    }

    fn set_capacity(&self, capacity: usize) {
        self.0.capacity.store(capacity, SeqCst);
    }

    fn served(&self) -> usize {
        self.0.served.load(SeqCst)
    }

    fn most(&self) -> usize {
        self.0.most.swap(0, SeqCst)
    }
}

fn adapting(backend: &Backend, concurrency: Concurrency) -> (Pipeline, Outcomes) {
    let (source, outcomes) = TestSource::new(0_u64..).build();
    let busy = classify_fn(|_| Class::Overload { after: None });
    let stage = Processor::new("call", backend.handler())
        .adaptive_concurrency(concurrency)
        .classify(busy)
        .workers(2);
    (Flow::from(source).process(stage).acknowledge(), outcomes)
}

fn limit(handle: &PipelineHandle) -> usize {
    for policy in handle.policies("call").unwrap() {
        if let PolicyStatus::Concurrency {
            limit,
            adaptive: true,
            ..
        } = policy
        {
            return limit;
        }
    }
    panic!("no adaptive limit");
}

/// The mean of the limit over so many looks, 50 ms apart.
async fn mean_limit(handle: &PipelineHandle, looks: usize) -> f64 {
    let mut sum = 0;
    for _ in 0..looks {
        sleep(ms(50)).await;
        sum += limit(handle);
    }
    float(sum) / float(looks)
}

#[tokio::test(start_paused = true)]
async fn the_limit_follows_a_service_that_bears_twenty_then_five_then_fifty_calls() {
    for sheds in [false, true] {
        let backend = Backend::bearing(20, sheds);
        let (pipeline, _) = adapting(&backend, Concurrency::adaptive());
        let running = pipeline.start().await.unwrap();
        for capacity in [20, 5, 50] {
            backend.set_capacity(capacity);
            sleep(SECOND * 10).await;
            let before = backend.served();
            let mean = mean_limit(running.handle(), 200).await;
            let bears = float(capacity);
            assert!(
                (bears * 0.6..=bears * 1.8).contains(&mean),
                "a limit of {mean} where {capacity} are borne; sheds: {sheds}"
            );
            let served = float(backend.served() - before);
            let best = bears * 10.0 / TAKES.as_secs_f64();
            assert!(
                served >= best * 0.75,
                "{served} of {best} calls; sheds: {sheds}"
            );
        }
        running.handle().drain();
        check(&running.join().await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_hour_does_not_raise_the_limit_and_what_comes_then_is_held_to_it() {
    let backend = Backend::bearing(20, false);
    let capacity = NonZeroUsize::new(1000).unwrap();
    let (source, handle) = Ingress::new(capacity, Overflow::Wait);
    let running = Flow::from(Source::new("ingress", source))
        .process(
            Processor::new("call", backend.handler())
                .adaptive_concurrency(Concurrency::adaptive())
                .workers(2),
        )
        .acknowledge()
        .start()
        .await
        .unwrap();
    for n in 0..3600 {
        handle.push(n).await.unwrap();
        sleep(SECOND).await;
    }
    let after = limit(running.handle());
    assert!(after <= 10, "{after}: it began with ten");
    backend.most();
    for n in 0..500 {
        handle.push(n).await.unwrap();
    }
    sleep(ms(1)).await;
    assert!(
        backend.most() <= after,
        "no more at once than was known to be borne"
    );
    handle.close();
    check(&running.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn an_adaptive_limit_stays_within_its_bounds_and_the_stage_has_slots_for_the_highest() {
    let backend = Backend::bearing(1000, false);
    let options = Concurrency::adaptive().between(2, 8).start_at(3);
    let (pipeline, outcomes) = adapting(&backend, options.clone());
    let shown = pipeline.topology().to_string();
    assert!(shown.contains("2 to 8 at once"), "{shown}");
    let running = pipeline.start().await.unwrap();
    outcomes.wait_for(5000).await;
    assert_eq!((backend.most(), limit(running.handle())), (8, 8));
    backend.set_capacity(1);
    sleep(SECOND * 20).await;
    let least = limit(running.handle());
    assert!((2..=3).contains(&least), "{least}");
    running.handle().drain();
    check(&running.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_lowered_lets_the_calls_that_run_end_and_begins_fewer() {
    let backend = Backend::bearing(1000, false);
    let options = Concurrency::adaptive().between(1, 64).start_at(64);
    let (pipeline, outcomes) = adapting(&backend, options);
    let running = pipeline.start().await.unwrap();
    outcomes.wait_for(1000).await;
    let begun = Instant::now();
    running.handle().set_concurrency("call", 4).unwrap();
    sleep(ms(25)).await;
    backend.most();
    sleep(ms(15)).await;
    let most = backend.most();
    assert!(
        most <= 6,
        "{most} at once, {:?} after 4 was set",
        begun.elapsed()
    );
    running.handle().drain();
    let report = running.join().await.unwrap();
    check(&report);
    assert_eq!(report.counts.done, report.counts.emitted);
}
