//! What arrives.

use std::time::Duration;

use towpath_telemetry::otlp::{Protocol, Setup};

use crate::{
    TRACES_ONLY, assert_adds_up,
    collector::{Collector, Manner},
    emit, setup,
};

const LONG: Duration = Duration::from_secs(10);

fn assert_all_arrive(configure: impl FnOnce(Setup) -> Setup) {
    let collector = Collector::new(Manner::Prompt);
    let setup = configure(setup(&collector.url(), &[])).header("x-key", "secret");
    let telemetry = setup.start().unwrap();
    emit(&telemetry, 2_000);
    let end = telemetry.shutdown_blocking(LONG);
    assert!(end.in_time);
    assert_adds_up(end.spans, 2_000);
    assert_eq!(end.lost(), 0);
    assert_eq!(end.metrics.sent, 1, "the last push");
    let arrived = collector.arrived();
    assert_eq!(arrived.spans.len(), 2_000);
    assert_eq!(arrived.headers["x-key"], "secret");
    assert!(arrived.services.iter().all(|name| name.contains("flights")));
}

#[test]
fn everything_arrives_by_grpc() {
    assert_all_arrive(|setup| setup.protocol(Protocol::Grpc));
}

#[test]
fn everything_arrives_by_http() {
    assert_all_arrive(|setup| setup.protocol(Protocol::Http));
}

#[test]
fn everything_arrives_compressed() {
    assert_all_arrive(|setup| setup.protocol(Protocol::Grpc).gzip(true));
    assert_all_arrive(|setup| setup.protocol(Protocol::Http).gzip(true));
}

#[test]
fn a_collector_that_was_overloaded_gets_what_it_could_not_take() {
    for protocol in [Protocol::Grpc, Protocol::Http] {
        let collector = Collector::new(Manner::Overloaded(2));
        let telemetry = setup(&collector.url(), &TRACES_ONLY).protocol(protocol);
        let telemetry = telemetry.start().unwrap();
        emit(&telemetry, 10);
        let end = telemetry.shutdown_blocking(LONG);
        assert_adds_up(end.spans, 10);
        assert_eq!(end.spans.sent, 10);
        assert_eq!(collector.spans(), 10);
        assert_eq!(collector.arrived().requests, 3);
    }
}

#[test]
fn what_a_collector_does_not_want_of_a_request_counts_as_lost() {
    for protocol in [Protocol::Grpc, Protocol::Http] {
        let collector = Collector::new(Manner::Picky(3));
        let telemetry = setup(&collector.url(), &TRACES_ONLY).protocol(protocol);
        let telemetry = telemetry.start().unwrap();
        emit(&telemetry, 10);
        let end = telemetry.shutdown_blocking(LONG);
        assert_adds_up(end.spans, 10);
        assert_eq!(end.spans.failed, 3);
    }
}

#[test]
fn what_a_collector_refuses_for_good_is_not_sent_again() {
    for protocol in [Protocol::Grpc, Protocol::Http] {
        let collector = Collector::new(Manner::Hostile);
        let telemetry = setup(&collector.url(), &TRACES_ONLY).protocol(protocol);
        let telemetry = telemetry.start().unwrap();
        emit(&telemetry, 10);
        let end = telemetry.shutdown_blocking(LONG);
        assert!(end.in_time);
        assert_adds_up(end.spans, 10);
        assert_eq!(end.spans.failed, 10);
        assert_eq!(collector.arrived().requests, 1);
    }
}

#[test]
fn what_a_collector_does_not_know_is_unwanted() {
    for protocol in [Protocol::Grpc, Protocol::Http] {
        let collector = Collector::new(Manner::TracesOnly);
        let telemetry = setup(&collector.url(), &[]).protocol(protocol);
        let telemetry = telemetry.start().unwrap();
        emit(&telemetry, 10);
        let end = telemetry.shutdown_blocking(LONG);
        assert_eq!((end.spans.sent, end.spans.lost()), (10, 0));
        assert_eq!((end.metrics.unwanted, end.metrics.lost()), (1, 1));
    }
}

#[test]
fn a_flush_sends_what_there_is_without_delay() {
    let collector = Collector::new(Manner::Prompt);
    let telemetry = setup(&collector.url(), &TRACES_ONLY).start().unwrap();
    emit(&telemetry, 5);
    assert!(telemetry.flush_blocking(LONG));
    assert_eq!(telemetry.spans().sent, 5);
    assert_eq!(collector.spans(), 5);
    emit(&telemetry, 5);
    assert!(telemetry.tracer_provider().unwrap().force_flush().is_ok());
    assert_eq!(collector.spans(), 10);
    assert_adds_up(telemetry.shutdown_blocking(LONG).spans, 10);
}

#[test]
fn a_full_batch_is_sent_without_delay() {
    const DELAY: &[(&str, &str)] = &[
        ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
        ("OTEL_METRICS_EXPORTER", "none"),
    ];
    let collector = Collector::new(Manner::Prompt);
    let telemetry = setup(&collector.url(), DELAY).start().unwrap();
    emit(&telemetry, 512);
    while collector.spans() < 512 {
        std::thread::yield_now();
    }
    assert_adds_up(telemetry.shutdown_blocking(LONG).spans, 512);
}

#[tokio::test]
async fn figures_are_pushed_from_time_to_time_with_those_of_the_runtime() {
    let collector = Collector::new(Manner::Prompt);
    let interval = Duration::from_millis(20);
    let telemetry = setup(&collector.url(), &[]).interval(interval);
    let telemetry = telemetry.start().unwrap();
    while telemetry.metrics().sent < 3 {
        tokio::task::yield_now().await;
    }
    let end = telemetry.shutdown(LONG).await;
    assert!(end.metrics.sent >= 4, "and once more at the end");
    let names: Vec<_> = collector
        .arrived()
        .metrics
        .into_iter()
        .map(|m| m.name)
        .collect();
    assert!(names.iter().any(|name| name.contains("tokio")), "{names:?}");
}

#[test]
fn nothing_is_sent_when_it_is_switched_off() {
    let collector = Collector::new(Manner::Prompt);
    let off = &[("OTEL_SDK_DISABLED", "true")];
    let telemetry = setup(&collector.url(), off).start().unwrap();
    assert!(telemetry.tracer_provider().is_none());
    let end = telemetry.shutdown_blocking(LONG);
    assert!(end.in_time);
    assert_eq!(collector.arrived().requests, 0);
}
