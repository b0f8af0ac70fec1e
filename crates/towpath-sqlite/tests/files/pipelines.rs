//! Queues as source and sink of pipelines.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};
use towpath::{
    Batcher, BoxError, Call, Failure, Flow, Guarantee, Headers, Origin, Pipeline, Processor,
    Running, SinkStage, Source,
    core::{Intake, Producer as _, Received},
};
use towpath_sqlite::{
    Entry, SqliteMessage, SqliteQueue, SqliteQueueOptions, SqliteSource, SqliteSourceOptions,
    SqliteToken,
};
use towpath_test::Recorder;

use crate::support::{SOON, drained, folder, queue, quick, text, until, until_done};

/// Ends in a recorder.
fn recorded(source: SqliteSource, recorder: &Recorder<String>) -> Pipeline {
    Flow::from(Source::new("queue", source))
        .decode(text)
        .sink(recorder.sink("record"))
}

/// As the engine asks a source.
async fn receive(source: &mut SqliteSource, intake: &mut Intake<SqliteMessage, SqliteToken>) {
    let received = timeout(SOON, source.receive(intake))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(received, Received::More);
}

async fn started(pipeline: Pipeline) -> Running {
    pipeline.start().await.unwrap()
}

#[tokio::test]
async fn what_is_put_in_is_worked_on_and_gone() {
    let folder = folder();
    let queue = queue(folder.path().join("a.queue"));
    queue
        .enqueue_many((0..500).map(|n| n.to_string()))
        .await
        .unwrap();
    let recorder = Recorder::new();
    let running = started(recorded(queue.source(), &recorder)).await;
    until_done(running.handle(), 500).await;
    let report = drained(running).await;
    assert_eq!(
        recorder.items(),
        (0..500).map(|n| n.to_string()).collect::<Vec<_>>()
    );
    assert_eq!(queue.depth().await.unwrap().messages, 0);
    assert_eq!(report.sources[0].settled.confirmed, 500);
}

#[tokio::test]
async fn what_is_put_in_through_the_same_handle_is_noticed_without_looking() {
    let folder = folder();
    let queue = queue(folder.path().join("a.queue"));
    let never = SqliteSourceOptions::new("unused").poll_every(Duration::from_secs(3600));
    let recorder = Recorder::new();
    let source = SqliteSource::of(&queue, never).unwrap();
    let running = started(recorded(source, &recorder)).await;
    // The pauses grow from a millisecond: by then it sleeps for longer than anybody waits.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let begun = Instant::now();
    for n in 1..=20 {
        let queue = queue.clone();
        // Also from a thread that is none of the runtime's.
        std::thread::spawn(move || queue.enqueue_blocking(n.to_string()).unwrap())
            .join()
            .unwrap();
        until_done(running.handle(), n).await;
    }
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    drained(running).await;
}

#[tokio::test]
async fn what_another_handle_puts_in_is_found_by_looking() {
    let folder = folder();
    let path = folder.path().join("a.queue");
    let (here, there) = (queue(&path), queue(&path));
    let recorder = Recorder::new();
    let running = started(recorded(here.source(), &recorder)).await;
    there.enqueue("a").await.unwrap();
    until_done(running.handle(), 1).await;
    let delay = Duration::from_millis(150);
    let begun = Instant::now();
    there.enqueue(Entry::new("b").delay(delay)).await.unwrap();
    until_done(running.handle(), 2).await;
    let slack = Duration::from_millis(1);
    assert!(begun.elapsed() + slack >= delay, "{:?}", begun.elapsed());
    drained(running).await;
}

#[tokio::test]
async fn a_message_that_is_given_back_comes_after_its_delay_as_another_attempt() {
    let folder = folder();
    let queue = queue(folder.path().join("a.queue"));
    queue.enqueue("a").await.unwrap();
    let attempts = Arc::new(AtomicU32::new(0));
    let seen = attempts.clone();
    let delay = Duration::from_millis(200);
    let work = Processor::with_context("work", move |call: Call<SqliteMessage>| {
        seen.fetch_add(1, Relaxed);
        async move {
            match call.origin.attempt {
                1 | 2 => Err(BoxError::from(Failure::retry("not yet").after(delay))),
                _ => Ok(()),
            }
        }
    });
    let begun = Instant::now();
    let pipeline = Flow::from(Source::new("queue", queue.source())).process(work);
    let running = started(pipeline.acknowledge()).await;
    until_done(running.handle(), 1).await;
    let slack = Duration::from_millis(2);
    assert!(
        begun.elapsed() + slack >= 2 * delay,
        "{:?}",
        begun.elapsed()
    );
    let report = drained(running).await;
    assert_eq!((attempts.load(Relaxed), report.counts.retried), (3, 2));
}

#[tokio::test]
async fn work_that_takes_longer_than_its_lease_keeps_its_message() {
    let folder = folder();
    let path = folder.path().join("a.queue");
    let first = queue(&path);
    // Longer than a busy machine stands still, with a third of it gone already.
    let lease = Duration::from_secs(4);
    first.enqueue("a").await.unwrap();
    let options = || SqliteSourceOptions::new(&path).queue(quick()).lease(lease);
    let work = Processor::new("work", move |queued: SqliteMessage| async move {
        tokio::time::sleep(lease * 2).await;
        Ok::<_, BoxError>(queued)
    });
    let source = SqliteSource::new(options()).unwrap();
    let slow = Flow::from(Source::new("queue", source))
        .process(work)
        .acknowledge();
    let slow = started(slow).await;
    until("it is lent", || slow.handle().status().counts.emitted == 1).await;
    let recorder = Recorder::new();
    let idle = started(recorded(SqliteSource::new(options()).unwrap(), &recorder)).await;
    until_done(slow.handle(), 1).await;
    let report = drained(slow).await;
    assert_eq!(
        (
            report.sources[0].settled.confirmed,
            report.sources[0].settled.stale
        ),
        (1, 0)
    );
    assert_eq!(drained(idle).await.counts.emitted, 0);
}

#[tokio::test]
async fn what_waits_for_demand_is_given_back_at_a_drain_and_is_no_attempt() {
    let folder = folder();
    let path = folder.path().join("a.queue");
    let queue = queue(&path);
    queue
        .enqueue_many((0..50).map(|n| n.to_string()))
        .await
        .unwrap();
    let mut source = queue.source();
    source.open().await.unwrap();
    let mut intake = Intake::new();
    // Asked for many, dropped before they come, and asked for few.
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    intake.ask(50);
    let short = Duration::from_millis(20);
    assert!(timeout(short, source.receive(&mut intake)).await.is_err());
    other.execute_batch("COMMIT").unwrap();
    intake.ask(5);
    receive(&mut source, &mut intake).await;
    assert_eq!(intake.len(), 5);
    source.drain(&mut intake).await.unwrap();
    let (payloads, tokens, origins) = intake.take(5);
    let numbers: Vec<_> = payloads.map(|queued| queued.id).collect();
    assert_eq!((numbers, tokens.len()), (vec![1, 2, 3, 4, 5], 5));
    assert!(origins.iter().all(|origin| origin.attempt == 1));

    let mut next = queue.source();
    next.open().await.unwrap();
    let mut intake = Intake::new();
    intake.ask(100);
    receive(&mut next, &mut intake).await;
    let (payloads, _, origins) = intake.take(100);
    assert_eq!(
        payloads.map(|queued| queued.id).collect::<Vec<_>>(),
        (6..=50).collect::<Vec<_>>()
    );
    assert!(origins.iter().all(|origin| origin.attempt == 1));
}

#[tokio::test]
async fn large_messages_are_claimed_a_few_at_a_time_and_none_is_too_large_to_come() {
    let folder = folder();
    let path = folder.path().join("a.queue");
    let queue = queue(&path);
    for bytes in [400, 600, 1, 5000, 1000] {
        queue.enqueue(vec![7; bytes]).await.unwrap();
    }
    let options = SqliteSourceOptions::new(&path)
        .queue(quick())
        .max_claim_bytes(1000);
    let mut source = SqliteSource::new(options).unwrap();
    source.open().await.unwrap();
    let mut came = Vec::new();
    while came.len() < 4 {
        let mut intake = Intake::new();
        intake.ask(10);
        receive(&mut source, &mut intake).await;
        let (payloads, ..) = intake.take(10);
        came.push(payloads.map(|queued| queued.id).collect::<Vec<_>>());
    }
    assert_eq!(came, [vec![1, 2], vec![3], vec![4], vec![5]]);
}

#[tokio::test]
async fn two_pipelines_are_joined_by_a_queue_and_headers_go_along() {
    let folder = folder();
    let (first, second) = (
        queue(folder.path().join("first.queue")),
        queue(folder.path().join("second.queue")),
    );
    let headers: Headers = [("tenant", "a")].into_iter().collect();
    first
        .enqueue(Entry::new("a").key("k").headers(headers.clone()))
        .await
        .unwrap();
    let sink = second
        .sink(|queued: &SqliteMessage| Entry::from(queued.clone()))
        .deduplicated();
    let pipeline =
        Flow::from(Source::new("first", first.source())).sink(SinkStage::of("second", sink));
    assert_eq!(pipeline.delivery_guarantee().0, Guarantee::EffectivelyOnce);
    let running = started(pipeline).await;
    until_done(running.handle(), 1).await;
    drained(running).await;

    let mut source = second.source();
    source.open().await.unwrap();
    let mut intake = Intake::new();
    intake.ask(10);
    receive(&mut source, &mut intake).await;
    let (mut payloads, _, origins) = intake.take(1);
    let queued = payloads.next().unwrap();
    assert_eq!(
        (queued.as_ref(), queued.key.as_deref()),
        (&b"a"[..], Some("k"))
    );
    let identity = origins[0].identity.as_ref().unwrap().to_string();
    assert_eq!(origins[0].attempt, 1);
    assert!(identity.ends_with("-1"), "{identity}");
    assert_eq!(first.depth().await.unwrap().messages, 0);
}

#[tokio::test]
async fn a_queue_that_is_full_holds_up_the_pipeline_before_it_and_loses_nothing() {
    let folder = folder();
    let path = folder.path().join("small.queue");
    let small = SqliteQueue::open(&path, quick().max_messages(7)).unwrap();
    let sink = SinkStage::of("small", small.sink(|n: &u32| n.to_string()));
    let reach = {
        use towpath::Sink;
        Sink::<u32>::reach(&*sink.lease().unwrap()).unwrap()
    };
    let filling = Flow::from(Source::iter("numbers", 0..100_u32))
        .batch(Batcher::new("batch").max_messages(20))
        .sink(sink);
    let filling = started(filling).await;
    until("it is full", || {
        reach
            .error()
            .is_some_and(|error| error.contains("max_messages"))
    })
    .await;
    assert_eq!(small.depth().await.unwrap().messages, 7);
    let recorder = Recorder::new();
    let emptying = started(recorded(small.source(), &recorder)).await;
    until_done(filling.handle(), 100).await;
    until_done(emptying.handle(), 100).await;
    drained(filling).await;
    drained(emptying).await;
    assert_eq!(
        recorder.items(),
        (0..100).map(|n| n.to_string()).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_stop_ends_in_time_while_the_file_is_locked_and_the_work_comes_again() {
    let folder = folder();
    let path = folder.path().join("a.queue");
    let options = || quick().busy_timeout(Duration::from_secs(600));
    let first = SqliteQueue::open(&path, options()).unwrap();
    first.enqueue_many(["a", "b"]).await.unwrap();
    let work = Processor::new("work", |queued: SqliteMessage| async move {
        std::future::pending::<()>().await;
        Ok::<_, BoxError>(queued)
    });
    let pipeline = Flow::from(Source::new("queue", first.source())).process(work.unordered(2));
    let running = started(pipeline.acknowledge()).await;
    drop(first);
    until("both are lent", || {
        running.handle().status().counts.emitted == 2
    })
    .await;
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begun = Instant::now();
    running.handle().drain_within(Duration::from_secs(1));
    let report = running.join().await.unwrap();
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    assert_eq!(report.left, 2);
    other.execute_batch("COMMIT").unwrap();
    let again = queue(&path);
    assert_eq!(again.depth().await.unwrap().messages, 2);
}

#[tokio::test]
async fn a_message_that_is_too_large_for_the_queue_is_rejected_alone() {
    let folder = folder();
    let path = folder.path().join("small.queue");
    let small = SqliteQueue::open(&path, quick().max_message_bytes(10)).unwrap();
    let sink = SinkStage::of("small", small.sink(|n: &usize| vec![b'x'; *n]));
    let report = Flow::from(Source::iter("sizes", [1, 11, 10]))
        .sink(sink)
        .run()
        .await
        .unwrap();
    assert_eq!((report.counts.done, report.counts.rejected), (2, 1));
    let causes = format!("{:?}", report.causes);
    assert!(causes.contains("max_message_bytes"), "{causes}");
    assert_eq!(small.depth().await.unwrap().messages, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_and_threads_put_in_and_nothing_is_lost_or_doubled() {
    let folder = folder();
    let queue = queue(folder.path().join("a.queue"));
    let mut tasks = JoinSet::new();
    for task in 0..16_u32 {
        let queue = queue.clone();
        tasks.spawn(async move {
            for n in 0..25 {
                let payload = format!("{}", task * 25 + n);
                if n % 2 == 0 {
                    queue.enqueue(payload).await.unwrap();
                } else {
                    // Blocks the worker of the runtime, and must not panic for that.
                    queue.enqueue_blocking(payload).unwrap();
                }
            }
        });
    }
    tasks.join_all().await;
    let recorder = Recorder::new();
    let running = started(recorded(queue.source(), &recorder)).await;
    until_done(running.handle(), 400).await;
    drained(running).await;
    let mut numbers: Vec<u32> = recorder
        .items()
        .iter()
        .map(|n| n.parse().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..400).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_depth_of_a_queue_is_the_lag_of_its_source() {
    let folder = folder();
    let queue = queue(folder.path().join("a.queue"));
    queue
        .enqueue_many((0..10).map(|n| n.to_string()))
        .await
        .unwrap();
    let mut source = queue.source();
    let lag = source.lag().unwrap();
    assert_eq!(lag.get(), None);
    source.open().await.unwrap();
    let mut intake = Intake::new();
    intake.ask(4);
    receive(&mut source, &mut intake).await;
    assert_eq!((intake.len(), lag.get()), (4, Some(10)));
    intake.ask(5);
    receive(&mut source, &mut intake).await;
    assert_eq!((intake.len(), lag.get()), (5, Some(6)));
}

#[tokio::test]
async fn two_hundred_thousand_messages_are_never_all_in_memory() {
    const MANY: u64 = 200_000;
    let folder = folder();
    let queue = queue(folder.path().join("a.queue"));
    for thousand in 0..MANY / 1000 {
        let entries = (0..1000).map(|n| Entry::new(format!("{:>400}", thousand * 1000 + n)));
        queue.enqueue_many(entries).await.unwrap();
    }
    let before = resident();
    let pipeline = Flow::from(Source::new("queue", queue.source())).acknowledge();
    let running = pipeline.budget(10_000).start().await.unwrap();
    let mut most = before;
    while running.handle().status().counts.done < 40_000 {
        most = most.max(resident());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // All of them are 80 MB of payloads alone.
    assert!(most - before < 40 << 20, "from {before} to {most} bytes");
    let report = drained(running).await;
    let left = queue.depth().await.unwrap().messages;
    assert_eq!(left + report.counts.done, MANY);
}

/// The memory of this process, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB"));
    kilobytes.map_or(0, |kilobytes| {
        kilobytes.trim().parse::<u64>().unwrap() << 10
    })
}

#[tokio::test]
async fn options_are_read_in_words_and_all_their_problems_are_told() {
    let text = r#"{
        "path": "", "lease": "1ms", "hold_at_most": "0s", "max_claim_bytes": "0B",
        "queue": { "max_messages": 0, "max_message_bytes": "1GiB", "sync": "normal" }
    }"#;
    let mut json = serde_json::Deserializer::from_str(text);
    let options: SqliteSourceOptions = towpath_options::read_options(&mut json).unwrap();
    let error = SqliteSource::new(options).unwrap_err();
    let paths: Vec<_> = error
        .problems()
        .iter()
        .map(|problem| problem.path.as_str())
        .collect();
    let expected = [
        "path",
        "queue.max_messages",
        "queue.max_message_bytes",
        "lease",
        "hold_at_most",
        "max_claim_bytes",
    ];
    assert_eq!(paths, expected, "{error}");
    let unknown = r#"{ "path": "a", "lesae": "1s" }"#;
    let mut json = serde_json::Deserializer::from_str(unknown);
    let error = towpath_options::read_options::<SqliteSourceOptions, _>(&mut json).unwrap_err();
    assert!(error.to_string().contains("lesae"), "{error}");
    assert!(SqliteQueueOptions::default().validate().is_ok());
}

#[tokio::test]
async fn a_source_tells_where_its_messages_come_from() {
    let folder = folder();
    let queue = queue(folder.path().join("a.queue"));
    queue.enqueue("a").await.unwrap();
    let mut source = queue.source();
    assert_eq!(source.peer().destination_name(), Some("a.queue"));
    source.open().await.unwrap();
    let mut intake = Intake::new();
    intake.ask(1);
    receive(&mut source, &mut intake).await;
    let (_, _, origins) = intake.take(1);
    let Origin {
        identity, position, ..
    } = &origins[0];
    assert!(identity.is_some());
    assert_eq!(position.map(|position| position.offset), Some(1));
}
