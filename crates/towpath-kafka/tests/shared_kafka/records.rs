//! What records carry, in and out, and what is refused.

use std::time::Duration;

use bytes::Bytes;
use towpath::{
    BoxError, Call, Flow, Processor, SinkStage, Source,
    core::{Headers, Producer as _},
};
use towpath_kafka::{
    KafkaRecord, KafkaSink, KafkaSinkOptions, KafkaSource, KafkaSourceOptions, Record,
};
use towpath_test::Recorder;

use crate::{
    broker::{kafka, topic},
    client::{self, Plain},
    pipes::{self, quick},
};

type Seen = (KafkaRecord, Option<String>, Headers, u32);

/// Everything that a topic holds, as a pipeline gets it.
async fn received(brokers: &str, topic: &str, count: usize) -> Vec<Seen> {
    received_with(quick(brokers, "see", topic), count).await
}

async fn received_with(options: KafkaSourceOptions, count: usize) -> Vec<Seen> {
    let see = |call: Call<KafkaRecord>| async move {
        let identity = call.origin.identity.as_ref().map(ToString::to_string);
        let origin = call.origin.clone();
        Ok::<Seen, BoxError>((
            call.into_payload(),
            identity,
            origin.headers,
            origin.attempt,
        ))
    };
    let recorder = Recorder::new();
    let source = KafkaSource::new(options).unwrap();
    let running = Flow::from(Source::new("kafka", source))
        .process(Processor::with_context("see", see))
        .sink(recorder.sink("record"));
    let running = running.start().await.unwrap();
    pipes::within(recorder.wait_for(count)).await;
    drop(pipes::drained(running).await);
    recorder.items()
}

/// Sends records in one batch; how many were done, and why others were not.
async fn sent(options: KafkaSinkOptions, records: Vec<Record>) -> (u64, Vec<(u64, String)>) {
    let letters = Recorder::new();
    let sink = KafkaSink::new(options).unwrap();
    let running = Flow::from(Source::iter("records", records))
        .sink(SinkStage::of::<Record>("topic", sink))
        .dead_letter(letters.sink("letters"));
    let report = pipes::within(running.run()).await.unwrap();
    towpath_test::check(&report);
    let why = letters.items().into_iter().map(|letter| {
        let position = letter.origin.position.unwrap_or_default_place();
        (position, letter.cause.chain().join(": "))
    });
    (report.counts.done, why.collect())
}

trait Place {
    fn unwrap_or_default_place(self) -> u64;
}

impl Place for Option<towpath::Position> {
    fn unwrap_or_default_place(self) -> u64 {
        self.map_or(0, |position| position.offset)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tombstones_empty_payloads_and_any_bytes_come_in_as_they_are() {
    let Some((brokers, topic)) = topic(1) else {
        return;
    };
    let plain = |key: Option<&[u8]>, payload: Option<&[u8]>| Plain {
        key: key.map(<[u8]>::to_vec),
        payload: payload.map(<[u8]>::to_vec),
        ..Plain::default()
    };
    let put = [
        plain(Some(b"k"), None),
        plain(Some(b""), Some(b"")),
        plain(None, Some(b"\xff\x00\xfe")),
    ];
    client::put(&brokers, &topic, &put).unwrap();
    let seen = received(&brokers, &topic, 3).await;
    let came: Vec<_> = seen
        .iter()
        .map(|(record, ..)| (record.key.clone(), record.payload.clone()))
        .collect();
    let bytes = |bytes: &'static [u8]| Some(Bytes::from_static(bytes));
    assert_eq!(
        came,
        [
            (bytes(b"k"), None),
            (bytes(b""), bytes(b"")),
            (None, bytes(b"\xff\x00\xfe"))
        ]
    );
    let (record, identity, _, attempt) = &seen[2];
    assert_eq!(identity.as_deref(), Some(&*format!("{topic}:0:2")));
    assert_eq!((record.offset, record.partition, *attempt), (2, 0, 1));
    assert!(record.timestamp_ms.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_come_in_also_those_that_are_no_text_and_attempts_are_counted_on() {
    let Some((brokers, topic)) = topic(1) else {
        return;
    };
    let headers = vec![
        ("tenant".to_owned(), Some(b"a".to_vec())),
        ("raw".to_owned(), Some(b"\xff\xfe".to_vec())),
        ("none".to_owned(), None),
        ("towpath-attempt".to_owned(), Some(b"3".to_vec())),
    ];
    let plain = Plain {
        headers,
        ..Plain::new(0, "x")
    };
    client::put(&brokers, &topic, &[plain]).unwrap();
    let (record, _, headers, attempt) = received(&brokers, &topic, 1).await.remove(0);
    assert_eq!(attempt, 3);
    assert_eq!(
        (headers.get("tenant"), headers.get("raw")),
        (Some("a"), None)
    );
    assert_eq!(record.headers.get("raw"), Some(&b"\xff\xfe"[..]));
    let names: Vec<_> = record.headers.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["tenant", "raw", "none", "towpath-attempt"]);
    let unread = quick(&brokers, "unread", &topic).read_headers(false);
    let (record, _, headers, attempt) = received_with(unread, 1).await.remove(0);
    assert!(record.headers.is_empty() && headers.is_empty());
    assert_eq!((record.as_ref(), attempt), (&b"x"[..], 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_go_out_as_they_are_to_the_partition_that_they_name() {
    let Some((brokers, topic)) = topic(3) else {
        return;
    };
    let options = KafkaSinkOptions::new(&*brokers).topic("elsewhere");
    let to = |record: Record| record.topic(&*topic).partition(2);
    let records = vec![
        to(Record::new("one")
            .key("k")
            .header("raw", vec![0xff])
            .timestamp_ms(12)),
        to(Record::tombstone("k")),
        to(Record::new("")),
    ];
    assert_eq!(sent(options, records).await, (3, vec![]));
    let stored = client::stored(&brokers, &topic, 3).unwrap();
    let plain = |key: Option<&str>, payload: Option<&str>, headers: Vec<(String, _)>| Plain {
        partition: 2,
        key: key.map(|key| key.as_bytes().to_vec()),
        payload: payload.map(|payload| payload.as_bytes().to_vec()),
        headers,
    };
    let raw = vec![("raw".to_owned(), Some(vec![0xff]))];
    assert_eq!(
        stored,
        [
            plain(Some("k"), Some("one"), raw),
            plain(Some("k"), None, vec![]),
            plain(None, Some(""), vec![])
        ]
    );
    let seen = received(&brokers, &topic, 3).await;
    assert_eq!(seen[0].0.timestamp_ms, Some(12));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_too_large_fails_alone_with_its_size_and_the_limit() {
    let Some((brokers, topic)) = topic(1) else {
        return;
    };
    let records = || {
        vec![
            Record::new("small"),
            Record::new(vec![b'x'; 2_000_000]),
            Record::new("small too"),
        ]
    };
    let options = KafkaSinkOptions::new(&*brokers).topic(&*topic);
    let (done, why) = sent(options.clone(), records()).await;
    assert_eq!((done, why.len()), (2, 1));
    assert!(
        why[0].1.contains("2000000 bytes") && why[0].1.contains("`max_message`"),
        "{why:?}"
    );
    let wide = options.max_message(10_000_000);
    let (done, why) = sent(wide, records()).await;
    assert_eq!((done, why.len()), (2, 1));
    assert!(
        why[0].1.contains("max.message.bytes of the topic"),
        "{why:?}"
    );
    assert_eq!(client::stored(&brokers, &topic, 1).unwrap().len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_to_topics_and_partitions_that_are_not_there_are_refused_by_name() {
    let Some((brokers, topic)) = topic(1) else {
        return;
    };
    let options = KafkaSinkOptions::new(&*brokers);
    let records = vec![
        Record::new("a").topic("nowhere-at-all"),
        Record::new("b").topic(&*topic).partition(7),
        Record::new("c"),
        Record::new("d").topic(&*topic),
        Record::new("e").topic("no\0name"),
    ];
    let (done, why) = sent(options, records).await;
    assert_eq!(done, 1, "{why:?}");
    let all: Vec<_> = why.into_iter().map(|(_, why)| why).collect();
    let says = |text: &str| assert!(all.iter().any(|why| why.contains(text)), "{text}: {all:?}");
    says("nowhere-at-all");
    says(&format!("topic {topic}: it has no partition 7"));
    says("names no topic");
    assert_eq!(all.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_not_there_is_told_by_name_and_found_when_it_is() {
    let Some(kafka) = kafka() else {
        return;
    };
    let brokers = kafka.brokers();
    let options = quick(&brokers, "g", "comes-later");
    let recorder = Recorder::new();
    let running = pipes::recording(options, &recorder).start().await.unwrap();
    let error = || running.handle().status().sources[0].error.clone();
    let told = || error().is_some_and(|error| error.contains("`topics`: "));
    pipes::until("the error is told", told).await;
    assert!(error().unwrap().contains("comes-later"), "{:?}", error());
    tokio::task::block_in_place(|| kafka.create_topic("comes-later", 1));
    client::put_numbers(&brokers, "comes-later", 1, 0..3);
    pipes::within(recorder.wait_for(3)).await;
    pipes::until("no error is left", || error().is_none()).await;
    drop(pipes::drained(running).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_topics_are_told_apart_by_their_positions_and_lag_is_told() {
    let Some((brokers, one)) = topic(1) else {
        return;
    };
    let Some((_, two)) = topic(2) else {
        return;
    };
    client::put(&brokers, &one, &[Plain::new(0, "0"), Plain::new(0, "1")]).unwrap();
    client::put(&brokers, &two, &[Plain::new(1, "2")]).unwrap();
    let mut options = quick(&brokers, "g", &one);
    options.topics.push(two.clone());
    options.figures_every = Duration::from_millis(200);
    let source = KafkaSource::new(options).unwrap();
    let lag = source.lag().unwrap();
    let see = |call: Call<KafkaRecord>| async move {
        Ok::<_, BoxError>(call.origin.position.map(|p| (p.partition, p.offset)))
    };
    let recorder = Recorder::new();
    let running = Flow::from(Source::new("kafka", source))
        .process(Processor::with_context("see", see))
        .sink(recorder.sink("record"));
    let running = running.start().await.unwrap();
    pipes::within(recorder.wait_for(3)).await;
    let mut seen: Vec<_> = recorder.items().into_iter().flatten().collect();
    seen.sort_unstable();
    assert_eq!(seen, [(0, 0), (0, 1), ((1 << 20) + 1, 0)]);
    pipes::until("nothing waits", || lag.get() == Some(0)).await;
    running.handle().pause();
    client::put_numbers(&brokers, &one, 1, 3..8);
    // What the paused source has in hand already does not count.
    pipes::until("some wait", || lag.get().is_some_and(|lag| lag > 0)).await;
    running.handle().resume();
    pipes::until("nothing waits again", || lag.get() == Some(0)).await;
    drop(pipes::drained(running).await);
    let committed = client::committed(&brokers, "g", &two, 2).unwrap();
    assert_eq!(committed.get(&1), Some(&1));
}
