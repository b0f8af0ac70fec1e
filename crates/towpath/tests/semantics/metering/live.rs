//! While a pipeline stands still, its metrics say where every message is.

use tokio::time::sleep;
use towpath::{
    Batcher, CircuitBreaker, Flow, ForcedBreaker, Pipeline, PipelineHandle, Processor, RateLimit,
};
use towpath_test::{Cue, Metrics, Recorder, TestSource, check};

use super::ms;

/// How many messages there are. They fit in one buffer of the first link.
const ALL: u64 = 30;

/// What `/metrics` says at this moment.
struct Now(Metrics);

impl Now {
    fn of(handle: &PipelineHandle) -> Self {
        Self(Metrics::of(&[handle.status()]))
    }

    #[track_caller]
    fn pipeline(&self, name: &str) -> u64 {
        whole(self.0.get(&format!("towpath_pipeline_{name}"), &[]))
    }

    #[track_caller]
    fn outcomes(&self, word: &str) -> u64 {
        let labels = [("outcome", word)];
        whole(self.0.get("towpath_pipeline_outcomes_total", &labels))
    }

    #[track_caller]
    fn stage(&self, stage: &str, name: &str) -> u64 {
        let labels = [("stage", stage)];
        whole(self.0.get(&format!("towpath_{name}"), &labels))
    }

    /// Waiting in front of a stage, asked for by it, and at work in it.
    #[track_caller]
    fn place(&self, stage: &str) -> [u64; 3] {
        ["queue_depth", "queue_demand", "stage_in_flight"].map(|name| self.stage(stage, name))
    }
}

#[track_caller]
fn whole(number: f64) -> u64 {
    let whole = format!("{number}").parse();
    whole.unwrap_or_else(|_| panic!("{number} is not whole"))
}

/// Writes in batches of five what gets through a stage of three calls.
fn batches(cue: &Cue<u64>, recorder: &Recorder<u64>) -> Pipeline {
    let (source, _) = TestSource::new(0..ALL).endless().build();
    let hangs = Processor::new("hangs", cue.handler());
    Flow::from(source)
        .process(hangs.unordered(3).workers(1))
        .batch(Batcher::new("collect").max_messages(5).max_wait(ms(60_000)))
        .sink(recorder.sink("write"))
}

#[tokio::test(start_paused = true)]
async fn messages_at_work_in_a_queue_and_in_an_open_batch_are_shown_there() {
    let cue = Cue::new().hang_when(|n| *n >= 12);
    let recorder = Recorder::new();
    let running = batches(&cue, &recorder).start().await.unwrap();
    sleep(ms(1000)).await;
    let now = Now::of(running.handle());
    assert_eq!(
        (now.pipeline("emitted_total"), now.outcomes("done")),
        (ALL, 10)
    );
    assert_eq!(now.pipeline("in_flight"), 20);
    // Four buffers of 64: what waits fills a part of one.
    assert_eq!(now.place("hangs"), [15, 192, 3]);
    assert_eq!(now.stage("hangs", "stage_sent_total"), 12);
    assert_eq!(now.place("collect"), [0, 256, 2], "two in an open batch");
    assert_eq!(now.place("write"), [0, 2, 0]);
    assert_eq!(now.stage("write", "stage_sent_total"), 10);
    let closed = [("stage", "collect"), ("trigger", "count")];
    let closed = now.0.get("towpath_batch_closed_total", &closed);
    assert_eq!(whole(closed), 2);
    cue.release();
    running.handle().drain();
    check(&running.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn what_a_sink_has_not_answered_is_shown_up_to_the_source() {
    let cue = Cue::new().hang_when(|n| *n >= 12);
    let recorder = Recorder::new().hang_on_batch(0);
    let running = batches(&cue, &recorder).start().await.unwrap();
    sleep(ms(1000)).await;
    let now = Now::of(running.handle());
    assert_eq!((now.pipeline("in_flight"), now.outcomes("done")), (ALL, 0));
    assert_eq!(now.place("hangs"), [15, 192, 3]);
    assert_eq!(
        now.place("write"),
        [1, 0, 5],
        "a batch at work, one in front"
    );
    // The batcher takes no more while nobody asks it for a batch.
    assert_eq!(now.place("collect"), [2, 192, 0]);
    cue.release();
    recorder.release();
    running.handle().drain();
    check(&running.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_shown_and_what_was_taken_goes_on() {
    let cue = Cue::new().hang_when(|n| *n >= 12);
    let running = batches(&cue, &Recorder::new()).start().await.unwrap();
    sleep(ms(1000)).await;
    running.handle().pause();
    sleep(ms(1000)).await;
    let phase = |now: &Now, word| {
        let phase = now.0.get("towpath_pipeline_phase", &[("phase", word)]);
        whole(phase)
    };
    let now = Now::of(running.handle());
    assert_eq!((phase(&now, "paused"), phase(&now, "running")), (1, 0));
    assert_eq!((now.pipeline("in_flight"), now.outcomes("done")), (20, 10));
    cue.release();
    sleep(ms(1000)).await;
    let now = Now::of(running.handle());
    assert_eq!((now.pipeline("in_flight"), now.outcomes("done")), (0, ALL));
    assert_eq!(phase(&now, "paused"), 1);
    running.handle().drain();
    check(&running.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_its_turn_is_shown_as_waiting_and_its_message_in_the_queue() {
    let cue = Cue::new().hang_when(|_| true);
    let (source, _) = TestSource::new(0..ALL).endless().build();
    let call = Processor::new("call", cue.handler());
    let limit = RateLimit::per_second(1).burst(2);
    let running = Flow::from(source)
        .process(call.unordered(3).workers(1).rate_limit(limit))
        .acknowledge()
        .start()
        .await
        .unwrap();
    sleep(ms(10)).await;
    let now = Now::of(running.handle());
    assert_eq!(now.place("call"), [28, 192, 2]);
    assert_eq!(now.stage("call", "policy_waiting"), 1);
    assert_eq!(now.stage("call", "stage_concurrency"), 3);
    cue.release();
    running.handle().drain();
    check(&running.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn messages_that_are_parked_are_shown_as_at_work_and_waiting() {
    let (source, _) = TestSource::new(0..ALL).endless().build();
    let cue = Cue::new().hang_when(|_| true);
    let call = Processor::new("call", cue.handler())
        .unordered(8)
        .workers(1);
    // Of each of three keys, one may run.
    let limit = RateLimit::per_second(1).burst(1).by_key(|n: &u64| n % 3);
    let running = Flow::from(source)
        .process(call.rate_limit(limit))
        .acknowledge()
        .start()
        .await
        .unwrap();
    sleep(ms(10)).await;
    let now = Now::of(running.handle());
    assert_eq!(now.place("call"), [0, 256, ALL]);
    assert_eq!(now.stage("call", "policy_waiting"), ALL - 3);
    let keys = now.stage("call", "rate_limit_keys");
    assert_eq!((cue.running(), keys), (3, 3));
    cue.release();
    running.handle().drain();
    check(&running.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_is_open_holds_messages_in_the_queue() {
    let (source, _) = TestSource::new(0..ALL).endless().build();
    let call = Processor::new("call", Cue::new().handler());
    let breaker = CircuitBreaker::failure_rate(0.5).waiting();
    let running = Flow::from(source)
        .process(call.unordered(3).workers(1).circuit_breaker(breaker))
        .acknowledge()
        .start()
        .await
        .unwrap();
    let force = |forced| running.handle().force_breaker("call", forced).unwrap();
    force(ForcedBreaker::Open);
    sleep(ms(10)).await;
    let now = Now::of(running.handle());
    assert_eq!(now.place("call"), [ALL, 192, 0]);
    assert_eq!(now.stage("call", "breaker_forced"), 1);
    let open = [("stage", "call"), ("state", "open")];
    assert_eq!(whole(now.0.get("towpath_breaker_state", &open)), 1);
    force(ForcedBreaker::Auto);
    sleep(ms(10)).await;
    let now = Now::of(running.handle());
    assert_eq!(now.place("call"), [0, 256, 0]);
    assert_eq!((now.pipeline("in_flight"), now.outcomes("done")), (0, ALL));
    running.handle().drain();
    check(&running.join().await.unwrap());
}
