//! The span of a message is the current one wherever user code works on it.

use std::sync::{Arc, Mutex};

use super::*;
use towpath::trace;

/// The names of the spans that code was in.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<Option<u64>>>>);

impl Seen {
    fn note(&self) {
        let current = trace::current().map(|span| span.id().span);
        self.0.lock().unwrap().push(current);
    }

    fn all(&self) -> Vec<Option<u64>> {
        self.0.lock().unwrap().clone()
    }
}

async fn run<S: towpath::core::Stage<i32, Out = i32>>(stage: S) -> Traces {
    let (source, _) = TestSource::of([1]);
    let traces = Traces::new();
    let report = Flow::from(source)
        .process(stage)
        .sink(Recorder::new().sink("kept"))
        .telemetry(traces.clone())
        .run()
        .await
        .unwrap();
    traces.check(&report);
    traces
}

#[tokio::test(start_paused = true)]
async fn a_handler_is_in_the_span_of_its_message_at_every_poll() {
    let seen = Seen::default();
    let noting = seen.clone();
    let traces = run(Processor::new("work", move |n: i32| {
        let seen = noting.clone();
        seen.note();
        async move {
            seen.note();
            sleep(SECOND).await;
            seen.note();
            Ok::<_, BoxError>(n)
        }
    }))
    .await;
    let work = traces.named("process work")[0].id;
    assert_eq!(seen.all(), [Some(work); 3]);
    assert!(trace::current().is_none(), "and nobody else is");
}

#[tokio::test]
async fn a_blocking_handler_is_in_it_on_its_own_thread() {
    let seen = Seen::default();
    let noting = seen.clone();
    let traces = run(Processor::blocking("work", move |n: i32| {
        noting.note();
        Ok::<_, BoxError>(n)
    }))
    .await;
    assert_eq!(seen.all(), [Some(traces.named("process work")[0].id)]);
}

#[tokio::test(start_paused = true)]
async fn a_chunk_is_in_the_span_of_its_first_message_and_the_others_point_there() {
    let (source, _) = TestSource::of(0..3);
    let (traces, seen) = (Traces::new(), Seen::default());
    let noting = seen.clone();
    let chunk = Processor::chunk("work", move |all: Vec<i32>| {
        noting.note();
        async move { Ok::<_, BoxError>(all.into_iter().map(Ok::<_, BoxError>).collect()) }
    });
    let report = Flow::from(source)
        .process(chunk)
        .sink(Recorder::new().sink("kept"))
        .telemetry(traces.clone())
        .run()
        .await
        .unwrap();
    traces.check(&report);
    let spans = traces.named("process work");
    assert_eq!(spans.len(), 3);
    assert_eq!(seen.all(), [Some(spans[0].id)]);
    assert_eq!(
        (&spans[1].links, &spans[2].links),
        (&vec![spans[0].id], &vec![spans[0].id])
    );
}

struct Sending(Arc<Mutex<Vec<Option<String>>>>);

impl Sink<i32> for Sending {
    async fn write(&mut self, batch: Batch<i32>) -> Result<Written, BoxError> {
        let all = trace::inject();
        let mut sent = self.0.lock().unwrap();
        sent.push(all.get("traceparent").map(str::to_owned));
        for index in 0..batch.len() {
            let headers = batch.trace(index).unwrap_or_default();
            sent.push(headers.get("traceparent").map(str::to_owned));
        }
        Ok(Written::All)
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_is_given_what_to_send_along_with_each_message() {
    let (source, _) = TestSource::of(0..2);
    let (traces, sent) = (Traces::new(), Arc::default());
    let report = Flow::from(source)
        .batch(Batcher::new("two").max_messages(2))
        .sink(SinkStage::of("topic", Sending(Arc::clone(&sent))))
        .telemetry(traces.clone())
        .run()
        .await
        .unwrap();
    traces.check(&report);
    let of =
        |span: &towpath_test::SpanLine| Some(format!("00-{:032x}-{:016x}-01", span.trace, span.id));
    let created = traces.named("create topic");
    let expected = [&traces.named("send topic 2")[0], &created[0], &created[1]].map(of);
    assert_eq!(*sent.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn without_a_tracer_there_is_no_span_and_nothing_to_send_along() {
    let seen = Seen::default();
    let noting = seen.clone();
    let (source, _) = TestSource::of([1]);
    let report = Flow::from(source)
        .process(Processor::new("work", move |n: i32| {
            noting.note();
            async move { Ok::<_, BoxError>(n) }
        }))
        .sink(Recorder::new().sink("kept"))
        .run()
        .await
        .unwrap();
    assert_no_leaks(&report);
    assert_eq!(seen.all(), [None]);
    assert!(trace::inject().is_empty());
}
