//! How pipelines are built, checked, named and explained, before anything runs.

mod explaining;
mod garbage;
mod naming;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use towpath::{
    Batcher, BoxError, BuildError, Close, Delivery, Flow, Processor, Sink, SinkStage, Source,
    Trigger, Written,
    core::{Intake, Producer, Received, Unacknowledged},
};
use towpath_test::{Cue, Recorder, TestSource, check};

/// Hands out one number, and notes what is called when.
struct Helped {
    opened: Arc<AtomicUsize>,
    receiving: bool,
    left: u32,
}

impl Producer for Helped {
    type Payload = u32;
    type Acknowledger = Unacknowledged;

    async fn open(&mut self) -> Result<(), BoxError> {
        self.opened.fetch_add(1, SeqCst);
        // What it finds out when it opens changes what it hands out.
        self.left = 5;
        Ok(())
    }

    async fn receive(&mut self, intake: &mut Intake<u32, ()>) -> Result<Received, BoxError> {
        assert!(
            !std::mem::replace(&mut self.receiving, true),
            "asked by two tasks at once"
        );
        tokio::task::yield_now().await;
        self.left -= 1;
        intake.push(Delivery::new(self.left, ()));
        self.receiving = false;
        Ok(match self.left {
            0 => Received::End,
            _ => Received::More,
        })
    }
}

fn helped(name: &'static str, opened: &Arc<AtomicUsize>) -> Source<Helped> {
    Source::new(
        name,
        Helped {
            opened: opened.clone(),
            receiving: false,
            left: 0,
        },
    )
}

#[tokio::test(start_paused = true)]
async fn a_source_gets_ready_once_before_it_is_asked_and_by_one_task() {
    let opened = Arc::new(AtomicUsize::new(0));
    let recorder = Recorder::new();
    let report = Flow::from(helped("helped", &opened))
        .sink(recorder.sink("write"))
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(opened.load(SeqCst), 1);
    assert_eq!(recorder.items(), [4, 3, 2, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn several_sources_are_as_many_instances_of_one_pipeline() {
    let opened = Arc::new(AtomicUsize::new(0));
    let recorder = Recorder::new();
    let sources = ["first", "second", "third"].map(|name| Flow::from(helped(name, &opened)));
    let [first, second, third] = sources;
    let report = first
        .merge(second)
        .merge(third)
        .sink(recorder.sink("write"))
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(opened.load(SeqCst), 3);
    assert_eq!(recorder.items().len(), 15);
    let received: Vec<_> = report
        .sources
        .iter()
        .map(|s| (s.name.as_str(), s.received))
        .collect();
    assert_eq!(received, [("first", 5), ("second", 5), ("third", 5)]);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_cannot_open_stops_the_start_and_nothing_has_run() {
    let (good, outcomes) = TestSource::new(0..10_u32).named("good").build();
    let (bad, _) = TestSource::new(0..10_u32).named("bad").open_fails().build();
    let cue = Cue::new();
    let error = Flow::from(good)
        .merge(Flow::from(bad))
        .process(Processor::new("handle", cue.handler()))
        .acknowledge()
        .named("cannot open")
        .start()
        .await
        .unwrap_err();

    assert!(matches!(&error, BuildError::Open { stage, .. } if stage.as_str() == "bad"));
    assert_eq!(error.to_string(), "stage bad cannot start");
    assert!(std::error::Error::source(&error).is_some());
    assert_eq!((cue.calls(), outcomes.demands().len()), (0, 0));
    assert!(towpath::find("cannot open").is_none());
}

/// A sink without what it needs.
struct Closed;

impl Sink<u32> for Closed {
    async fn open(&mut self) -> Result<(), BoxError> {
        Err("no such table".into())
    }

    async fn write(&mut self, _: towpath::Batch<u32>) -> Result<Written, BoxError> {
        Ok(Written::All)
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_cannot_open_stops_the_start() {
    let (source, outcomes) = TestSource::of(0..10_u32);
    let error = Flow::from(source)
        .sink(SinkStage::of("write", Closed))
        .start()
        .await
        .unwrap_err();

    assert!(matches!(&error, BuildError::Open { stage, .. } if stage.as_str() == "write"));
    assert!(outcomes.demands().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_processor_works_on_sixteen_messages_unless_told_otherwise() {
    for (asked, expected) in [(None, 16), (Some(3), 3), (Some(40), 40)] {
        let (source, _) = TestSource::of(0..200_u32);
        let cue = Cue::new().delay(Duration::from_millis(5));
        let processor = Processor::new("handle", cue.handler());
        let processor = match asked {
            Some(n) => processor.concurrency(n),
            None => processor,
        };
        let pipeline = Flow::from(source).process(processor).acknowledge();
        assert_eq!(pipeline.topology().stages()[1].concurrency, expected);
        check(&pipeline.run().await.unwrap());
        assert_eq!(cue.max_running(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_writes_one_batch_at_a_time_unless_it_has_more_workers() {
    for workers in [1, 4] {
        let (source, _) = TestSource::of(0..100_u32);
        let recorder = Recorder::new().delay(Duration::from_millis(5));
        let sink = recorder.sink("write");
        let sink = if workers == 1 {
            sink
        } else {
            sink.workers(workers)
        };
        let pipeline = Flow::from(source)
            .batch(Batcher::new("collect").max_messages(5))
            .sink(sink);
        assert_eq!(pipeline.topology().stages()[2].workers, workers);
        check(&pipeline.run().await.unwrap());
        assert_eq!(recorder.max_running(), workers);
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_rule_of_ones_own_cannot_take_the_bound_away() {
    let (source, _) = TestSource::of(0..250_u32);
    let recorder = Recorder::new();
    let never = |seen: &mut u32, _: &u32| {
        *seen += 1;
        Close::No
    };
    let pipeline = Flow::from(source)
        .batch(Batcher::new("collect").close_when(0, never))
        .sink(recorder.sink("write"));
    assert!(pipeline.explain().bound() < 2000);
    check(&pipeline.run().await.unwrap());
    let batches: Vec<_> = recorder
        .batches()
        .iter()
        .map(|(items, info)| (items.len(), info.trigger))
        .collect();
    let expected = [
        (100, Trigger::Count),
        (100, Trigger::Count),
        (50, Trigger::Drain),
    ];
    assert_eq!(batches, expected);
}

#[tokio::test(start_paused = true)]
async fn what_a_handler_shares_reaches_every_stage() {
    struct Context {
        factor: u32,
        hooked: AtomicUsize,
    }
    let context = Arc::new(Context {
        factor: 3,
        hooked: AtomicUsize::new(0),
    });
    let (source, _) = TestSource::of(0..4_u32);
    let recorder = Recorder::new();
    let (handling, hooking) = (context.clone(), context.clone());
    let handle = move |n: u32| {
        let context = handling.clone();
        async move {
            match n {
                0 => Err(BoxError::from("nothing")),
                n => Ok(n * context.factor),
            }
        }
    };
    let report = Flow::from(source)
        .process(
            Processor::new("handle", handle)
                .ordered(2)
                .on_failure(move |outcome, _| {
                    hooking.hooked.fetch_add(1, SeqCst);
                    outcome
                }),
        )
        .sink(recorder.sink("write"))
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(recorder.items(), [3, 6, 9]);
    assert_eq!(context.hooked.load(SeqCst), 1);
}
