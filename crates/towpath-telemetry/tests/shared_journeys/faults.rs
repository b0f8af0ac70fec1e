//! Collectors that do not do their part, and pipelines that do not notice.

use std::{net::TcpListener, sync::Arc, thread, time::Duration};

use tokio::{sync::Semaphore, time::Instant};
use towpath::prelude::*;
use towpath_telemetry::otlp::{Exported, Otlp, Protocol};
use towpath_test_servers::{OtlpReceiver, Pace, or_not_run};

use crate::{PATIENCE, arrived, feed::Feed, receiver, run, setup, topic::Topic, towards};

/// Enough for more spans than wait in any queue.
const MESSAGES: u64 = 2_000;

/// Of each, at least: receipt, waits, two stages, an attempt, what it became, its settlement.
const SPANS: u64 = 9 * MESSAGES;

/// How often with a faulty and with a good collector in turn.
const ROUNDS: u64 = 2;

/// How long the last spans may take.
const DEADLINE: Duration = Duration::from_secs(1);

/// What scheduling on a busy machine may add to a deadline.
const SLACK: Duration = Duration::from_secs(10);

const BOTH: [Protocol; 2] = [Protocol::Grpc, Protocol::Http];

/// One message in the middle waits until there is a permit.
fn pipeline(name: &str, topic: &Topic, gate: Arc<Semaphore>) -> Pipeline {
    let parse = Processor::new("parse", move |number: u64| {
        let gate = gate.clone();
        async move {
            if number == MESSAGES / 2 {
                drop(gate.acquire().await?);
            }
            Ok::<_, BoxError>(number)
        }
    });
    let passes = |name| Processor::new(name, |n: u64| async move { Ok::<_, BoxError>(n) });
    Flow::from(Source::new("orders", Feed::new(MESSAGES)))
        .process(parse)
        .process(passes("enrich").timeout(PATIENCE))
        .batch(Batcher::new("rows").max_messages(100))
        .sink(SinkStage::of("table", topic.clone()))
        .named(name)
}

/// How long the pipeline has taken, to the end that it would have without any collector.
fn runs_through(name: &str, otlp: &Otlp) -> Duration {
    runs_through_gate(name, otlp, Arc::new(Semaphore::new(1)))
}

fn runs_through_gate(name: &str, otlp: &Otlp, gate: Arc<Semaphore>) -> Duration {
    let topic = Topic::default();
    let began = Instant::now();
    let report = run(otlp, pipeline(name, &topic, gate));
    let took = began.elapsed();
    assert_eq!(report.counts.done, MESSAGES);
    assert_eq!(topic.sent().len() as u64, MESSAGES);
    took
}

/// All spans of so many runs have been sent, or are counted as lost; in time.
fn adds_up(otlp: Otlp, runs: u64) -> Exported {
    let began = Instant::now();
    let end = otlp.shutdown_blocking(DEADLINE);
    assert!(began.elapsed() < DEADLINE + SLACK, "{:?}", began.elapsed());
    assert_eq!(
        end.spans.emitted,
        end.spans.sent + end.spans.lost(),
        "{end:?}"
    );
    assert!(end.spans.emitted >= runs * SPANS, "{end:?}");
    end.spans
}

/// Goes on as with a collector that answers. How much slower it is, is for people to see: on
/// a busy machine it means little.
fn does_not_notice(what: &str, protocol: Protocol, endpoint: String) -> Exported {
    let name = format!("collector {what} {protocol:?}");
    let good = receiver();
    let good = good
        .iter()
        .map(|receiver| setup("good", receiver, protocol).start().unwrap());
    let good: Vec<_> = good.collect();
    let otlp = towards("faults", endpoint).protocol(protocol);
    let otlp = otlp.timeout(PATIENCE).start().unwrap();
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let took = runs_through(&name, &otlp);
        assert!(took < PATIENCE, "{took:?}");
        let usual = good.iter().map(|good| runs_through(&name, good));
        ratios.extend(usual.map(|usual| took.div_duration_f64(usual)));
    }
    let spans = adds_up(otlp, ROUNDS);
    for good in good {
        adds_up(good, ROUNDS);
    }
    println!("{name}: times of those with a good one: {ratios:.2?}, {spans:?}");
    spans
}

/// An address that nobody listens at, and that nobody is given.
fn nobody() -> String {
    "http://127.0.0.1:1".to_owned()
}

#[test]
fn a_pipeline_does_not_notice_that_nobody_listens() {
    for protocol in BOTH {
        let spans = does_not_notice("refused", protocol, nobody());
        assert_eq!(spans.sent, 0);
    }
}

#[test]
fn a_pipeline_does_not_notice_that_the_collector_never_answers() {
    for protocol in BOTH {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let spans = does_not_notice("silent", protocol, endpoint);
        assert_eq!(spans.sent, 0);
        assert!(spans.overflowed > 0 && spans.cut_off > 0, "{spans:?}");
    }
}

#[test]
fn a_pipeline_does_not_notice_that_the_collector_is_slow() {
    for protocol in BOTH {
        // Too slow also for a pipeline on a busy machine.
        let slow = Pace::After(Duration::from_secs(2));
        let Some(receiver) = or_not_run(OtlpReceiver::start_at(slow)) else {
            return;
        };
        let endpoint = match protocol {
            Protocol::Grpc => receiver.grpc(),
            _ => receiver.http(),
        };
        let spans = does_not_notice("slow", protocol, endpoint);
        let found = receiver.spans(|all| all.len() as u64 >= spans.sent, PATIENCE);
        assert!(
            found.len() as u64 >= spans.sent,
            "what is confirmed has come"
        );
        assert!(spans.lost() > 0, "{spans:?}");
    }
}

#[test]
fn a_pipeline_does_not_notice_that_the_collector_dies_while_it_runs() {
    for protocol in BOTH {
        let Some(mut receiver) = receiver() else {
            return;
        };
        let otlp = setup("faults", &receiver, protocol).start().unwrap();
        let name = format!("collector dies {protocol:?}");
        let whole = runs_through(&name, &otlp);
        assert!(otlp.flush_blocking(PATIENCE));
        let before = otlp.spans().sent;
        let gate = Arc::new(Semaphore::new(0));
        let dying = thread::scope(|scope| {
            let running = scope.spawn(|| runs_through_gate(&name, &otlp, gate.clone()));
            let more = receiver.spans(|spans| spans.len() as u64 > before, PATIENCE);
            receiver.stop();
            gate.add_permits(1);
            assert!(more.len() as u64 > before);
            running.join().unwrap()
        });
        let dead = runs_through(&name, &otlp);
        let spans = adds_up(otlp, 3);
        println!("{name}: {whole:?}, then {dying:?}, then {dead:?}, {spans:?}");
        assert!(spans.sent >= before && before > 0);
        let found = receiver.spans(|_| true, PATIENCE);
        assert!(
            found.len() as u64 >= spans.sent,
            "what is confirmed has come"
        );
        assert!(
            spans.lost() >= SPANS,
            "those of the last run at least: {spans:?}"
        );
    }
}

#[test]
fn with_a_collector_that_does_its_part_nothing_is_lost_but_what_finds_the_queue_full() {
    for protocol in BOTH {
        let Some(receiver) = receiver() else {
            return;
        };
        let otlp = setup("faults", &receiver, protocol).start().unwrap();
        runs_through(&format!("collector answers {protocol:?}"), &otlp);
        assert!(otlp.flush_blocking(PATIENCE));
        let spans = otlp.spans();
        assert_eq!((spans.failed, spans.waiting()), (0, 0));
        assert_eq!(spans.emitted, spans.sent + spans.overflowed);
        arrived(&receiver, spans.sent);
        adds_up(otlp, 1);
    }
}
