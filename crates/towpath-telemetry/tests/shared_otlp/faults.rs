//! What happens when the collector does not do its part.

use std::time::Duration;

use tokio::time::Instant;
use towpath_telemetry::otlp::{Otlp, Protocol, Shutdown};

use crate::{
    TRACES_ONLY, assert_adds_up,
    collector::{Collector, Manner},
    emit, setup,
};

const DEADLINE: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(20);

/// What scheduling on a busy machine may add to a deadline: less than an export may take.
const SLACK: Duration = Duration::from_secs(6);

/// An address that nobody listens at, and that nobody is given.
fn nobody() -> String {
    "http://127.0.0.1:1".to_owned()
}

fn started(endpoint: &str, protocol: Protocol) -> Otlp {
    setup(endpoint, &[]).protocol(protocol).start().unwrap()
}

#[track_caller]
fn assert_cut_off(end: Shutdown, began: Instant, emitted: u64) {
    assert!(began.elapsed() < DEADLINE + SLACK, "{:?}", began.elapsed());
    assert!(!end.in_time);
    assert_adds_up(end.spans, emitted);
    assert_eq!(end.spans.cut_off, emitted);
}

#[test]
fn a_silent_collector_holds_no_shutdown_up_without_a_runtime() {
    for protocol in [Protocol::Grpc, Protocol::Http] {
        let collector = Collector::new(Manner::Silent);
        let telemetry = started(&collector.url(), protocol);
        emit(&telemetry, 2_000);
        let began = Instant::now();
        let end = telemetry.shutdown_blocking(DEADLINE);
        assert_cut_off(end, began, 2_000);
    }
}

#[test]
fn a_silent_collector_holds_no_shutdown_up_on_a_runtime_that_is_not_tokio() {
    let collector = Collector::new(Manner::Silent);
    let telemetry = started(&collector.url(), Protocol::Grpc);
    emit(&telemetry, 2_000);
    let began = Instant::now();
    let end = futures::executor::block_on(telemetry.shutdown(DEADLINE));
    assert_cut_off(end, began, 2_000);
}

#[tokio::test]
async fn a_silent_collector_holds_no_shutdown_up_on_a_runtime_of_one_thread() {
    let collector = Collector::new(Manner::Silent);
    let telemetry = started(&collector.url(), Protocol::Grpc);
    emit(&telemetry, 2_000);
    let began = Instant::now();
    assert_cut_off(telemetry.shutdown(DEADLINE).await, began, 2_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_collector_holds_no_shutdown_up_on_a_runtime_of_many_threads() {
    let collector = Collector::new(Manner::Silent);
    let telemetry = started(&collector.url(), Protocol::Http);
    emit(&telemetry, 2_000);
    let began = Instant::now();
    assert_cut_off(telemetry.shutdown(DEADLINE).await, began, 2_000);
}

#[test]
fn where_nobody_listens_the_shutdown_is_over_before_its_deadline() {
    for protocol in [Protocol::Grpc, Protocol::Http] {
        let telemetry = started(&nobody(), protocol);
        emit(&telemetry, 5_000);
        let end = telemetry.shutdown_blocking(LONG);
        assert!(end.in_time);
        assert_adds_up(end.spans, 5_000);
        assert_eq!(end.spans.failed, 5_000);
        assert_eq!(end.metrics.failed, 1);
    }
}

#[test]
fn a_slow_collector_gets_everything() {
    let collector = Collector::new(Manner::Slow(Duration::from_millis(50)));
    let telemetry = started(&collector.url(), Protocol::Grpc);
    emit(&telemetry, 5_000);
    let end = telemetry.shutdown_blocking(LONG);
    assert!(end.in_time);
    assert_adds_up(end.spans, 5_000);
    assert_eq!(collector.spans(), end.spans.sent);
    assert_eq!(end.spans.sent, 5_000);
}

#[test]
fn what_a_collector_had_before_it_died_is_sent_and_the_rest_is_lost() {
    for protocol in [Protocol::Grpc, Protocol::Http] {
        let collector = Collector::new(Manner::Prompt);
        let telemetry = setup(&collector.url(), &TRACES_ONLY).protocol(protocol);
        let telemetry = telemetry.start().unwrap();
        emit(&telemetry, 1_000);
        assert!(telemetry.flush_blocking(LONG));
        drop(collector);
        emit(&telemetry, 1_000);
        let end = telemetry.shutdown_blocking(LONG);
        assert_adds_up(end.spans, 2_000);
        assert_eq!(end.spans.sent, 1_000);
        assert_eq!(end.spans.failed, 1_000);
    }
}

#[test]
fn nobody_waits_for_room_in_the_queue() {
    const SMALL: &[(&str, &str)] = &[
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10"),
    ];
    let collector = Collector::new(Manner::Silent);
    let telemetry = setup(&collector.url(), SMALL).start().unwrap();
    let began = Instant::now();
    emit(&telemetry, 10_000);
    assert!(began.elapsed() < SLACK, "{:?}", began.elapsed());
    let end = telemetry.shutdown_blocking(DEADLINE);
    assert_adds_up(end.spans, 10_000);
    assert!(end.spans.overflowed >= 9_890, "{:?}", end.spans);
    assert!(
        end.spans.cut_off >= 100,
        "what waited and what was on its way"
    );
}

#[test]
fn dropping_it_waits_for_a_second_at_most() {
    let collector = Collector::new(Manner::Silent);
    let telemetry = started(&collector.url(), Protocol::Grpc);
    emit(&telemetry, 1_000);
    let began = Instant::now();
    drop(telemetry);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(1) + SLACK, "{took:?}");
}

#[test]
fn spans_that_end_after_the_shutdown_do_no_harm() {
    let collector = Collector::new(Manner::Prompt);
    let telemetry = started(&collector.url(), Protocol::Grpc);
    let provider = telemetry.tracer_provider().unwrap().clone();
    telemetry.shutdown_blocking(LONG);
    let tracer = opentelemetry::trace::TracerProvider::tracer(&provider, "test");
    drop(opentelemetry::trace::Tracer::start(&tracer, "late"));
    assert_eq!(collector.spans(), 0);
    let began = Instant::now();
    provider.shutdown().ok();
    assert!(began.elapsed() < SLACK, "nothing is left to wait for");
}
