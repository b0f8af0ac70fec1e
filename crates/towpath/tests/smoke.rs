//! A first thread through every crate.
use std::time::Duration;
use towpath::core::{Intake, Producer, Received, Unacknowledged};
use towpath::*;

struct Count(u64, u64);
impl Producer for Count {
    type Payload = u64;
    type Acknowledger = Unacknowledged;
    async fn receive(&mut self, intake: &mut Intake<u64, ()>) -> Result<Received, BoxError> {
        while intake.room() > 0 && self.0 < self.1 {
            intake.push(Delivery::new(self.0, ()));
            self.0 += 1;
        }
        Ok(if self.0 == self.1 {
            Received::End
        } else {
            Received::More
        })
    }
}

#[tokio::test(start_paused = true)]
async fn all_the_way() {
    let sum = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let s2 = sum.clone();
    let p = Flow::from(Source::new("count", Count(0, 10_000)))
        .map(|n| n + 1)
        .filter("odd", |n| n % 2 == 0)
        .process(
            Processor::new("sleep", |n: u64| async move {
                tokio::time::sleep(Duration::from_millis(n % 7)).await;
                Ok::<_, BoxError>(n)
            })
            .unordered(64),
        )
        .flat_map(|n| [n, 0])
        .process(
            Processor::new("ready", |n: u64| async move {
                if n == 77 {
                    panic!("x")
                }
                Ok::<_, BoxError>(n)
            })
            .ordered(8),
        )
        .batch(Batcher::new("batch").max_messages(100))
        .sink(write("sum", move |b: Batch<u64>| {
            let s = s2.clone();
            async move {
                s.fetch_add(b.items().iter().sum(), std::sync::atomic::Ordering::SeqCst);
                Ok::<_, BoxError>(())
            }
        }));
    println!("{}", p.explain());
    let report = p.run().await.unwrap();
    println!("{report}");
    assert_eq!(report.counts.done, 5000);
    assert_eq!(report.counts.in_flight, 0);
    assert_eq!(
        sum.load(std::sync::atomic::Ordering::SeqCst),
        (1..=5000).map(|n| n * 2).sum::<u64>()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fast() {
    for _ in 0..3 {
        let t = tokio::time::Instant::now();
        let n = 3_000_000;
        let p = Flow::from(Source::new("count", Count(0, n)))
            .process(
                Processor::new("ready", |n: u64| async move { Ok::<_, BoxError>(n) })
                    .unordered(4)
                    .workers(4),
            )
            .acknowledge();
        let report = p.run().await.unwrap();
        println!("{:?} ns", t.elapsed().as_nanos() as f64 / n as f64);
        assert_eq!(report.counts.done, n);
        let t = tokio::time::Instant::now();
        let p = Flow::from(Source::new("count", Count(0, n)))
            .process(
                Processor::new("ready", |n: u64| async move { Ok::<_, BoxError>(n) })
                    .unordered(4)
                    .workers(4),
            )
            .batch(Batcher::new("batch").max_messages(100))
            .sink(write("sum", move |b: Batch<u64>| async move {
                drop(b);
                Ok::<_, BoxError>(())
            }));
        let report = p.run().await.unwrap();
        println!("batch {:?} ns", t.elapsed().as_nanos() as f64 / n as f64);
        assert_eq!(report.counts.done, n);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dbg() {
    for _ in 0..20 {
        let n = 300_000;
        let p = Flow::from(Source::new("count", Count(0, n)))
            .process(
                Processor::new("ready", |n: u64| async move { Ok::<_, BoxError>(n) })
                    .unordered(4)
                    .workers(4),
            )
            .batch(Batcher::new("batch").max_messages(100))
            .sink(write("sum", move |b: Batch<u64>| async move {
                drop(b);
                Ok::<_, BoxError>(())
            }));
        let r = p.start().await.unwrap();
        let h = r.handle().clone();
        if tokio::time::timeout(Duration::from_secs(2), r.join())
            .await
            .is_err()
        {
            println!("{:#?}", h.status());
            panic!();
        }
    }
}
