//! Single spans: their ends, their links, their headers.

use std::{borrow::Cow, io};

use opentelemetry::{
    Context,
    trace::{Status, TraceContextExt, Tracer as _, TracerProvider as _},
};
use towpath_core::{
    Cause, Outcome, Panicked, Peer, Reason,
    trace::{End, Step, current, enter},
};

use super::*;

const AT: Duration = Duration::from_millis(10);

fn attempt(root: &Arc<dyn Span>) -> Arc<dyn Span> {
    let stage = "parse".into();
    let (stage, number) = (&stage, 2);
    root.start(&Step::Attempt { stage, number }, AT)
}

fn settle(rig: &Rig, outcome: &Outcome, abandoned: bool) -> Arc<dyn Span> {
    rig.root().start(&Step::Settle { outcome, abandoned }, AT)
}

fn description(span: &SpanData) -> Option<&str> {
    match &span.status {
        Status::Error { description } => Some(description),
        _ => None,
    }
}

#[test]
fn a_receipt_shows_the_last_second_of_the_wait_for_its_source_and_says_how_long_it_was() {
    let hour = Duration::from_secs(3600);
    for (waited, shown, said) in [
        (hour, Duration::from_secs(1), "3600"),
        (AT, AT, "0.01"),
        (Duration::ZERO, Duration::ZERO, "0"),
    ] {
        let rig = Rig::new();
        let (source, peer) = ("orders".into(), Peer::default());
        let arrival = Arrival::new(&source, &peer, AT, AT + waited);
        rig.tracer.begin(&arrival.deliveries(1, &[]));
        let root = rig.span("poll orders");
        let lasts = root.end_time.duration_since(root.start_time);
        assert_eq!(lasts.unwrap(), shown);
        assert_eq!(attribute(&root, "towpath.poll.wait").as_deref(), Some(said));
    }
}

#[test]
fn what_ends_well_has_no_status() {
    let rig = Rig::new();
    attempt(&rig.root()).end(&End::Done, AT * 2);
    let span = rig.span("attempt parse");
    assert_eq!(span.status, Status::Unset);
    assert_eq!(attribute(&span, "error.type"), None);
    assert_eq!(attribute(&span, "towpath.attempt").as_deref(), Some("2"));
    assert_eq!(span.end_time.duration_since(span.start_time).unwrap(), AT);
}

#[test]
fn a_failure_has_its_kind_and_all_its_causes() {
    let rig = Rig::new();
    let error = towpath_core::Permanent::new(io::Error::other("disk full"));
    attempt(&rig.root()).end(&End::failed_as("429", &error), AT);
    let span = rig.span("attempt parse");
    assert_eq!(attribute(&span, "error.type").as_deref(), Some("429"));
    assert_eq!(
        description(&span),
        Some("the source cannot go on: disk full")
    );
}

#[test]
fn a_panic_is_an_error_of_its_kind() {
    let rig = Rig::new();
    let error = Panicked::from_payload(Box::new("index out of bounds"));
    attempt(&rig.root()).end(&End::failed(&error), AT);
    let span = rig.span("attempt parse");
    assert_eq!(attribute(&span, "error.type").as_deref(), Some("panic"));
    assert_eq!(description(&span), Some("panicked: index out of bounds"));
}

#[test]
fn only_the_first_end_counts() {
    let rig = Rig::new();
    let span = attempt(&rig.root());
    span.end(&End::Done, AT * 2);
    span.end(&End::Abandoned, AT * 3);
    drop(span);
    let span = rig.span("attempt parse");
    assert_eq!(span.status, Status::Unset);
    assert_eq!(span.end_time.duration_since(span.start_time).unwrap(), AT);
}

#[tokio::test(start_paused = true)]
async fn a_span_that_nobody_ends_is_abandoned_when_it_is_dropped() {
    let rig = Rig::new();
    let span = attempt(&rig.root());
    tokio::time::advance(AT * 4).await;
    drop(span);
    let span = rig.span("attempt parse");
    assert_eq!(attribute(&span, "error.type").as_deref(), Some("abandoned"));
    assert_eq!(description(&span), Some("abandoned"));
    assert_eq!(
        span.end_time.duration_since(span.start_time).unwrap(),
        AT * 3
    );
}

#[test]
fn to_settle_a_rejected_message_is_no_error_but_says_what_was() {
    let rig = Rig::new();
    let error = Panicked::from_payload(Box::new("no number"));
    let outcome = Outcome::Reject(Cause::new("parse".into(), error));
    settle(&rig, &outcome, false).end(&End::Done, AT);
    let span = rig.span("reject orders");
    assert_eq!(span.status, Status::Unset);
    let of = |key| attribute(&span, key);
    assert_eq!(of("towpath.outcome").as_deref(), Some("rejected"));
    assert_eq!(of("error.type").as_deref(), Some("panic"));
    assert_eq!(of("towpath.outcome.stage").as_deref(), Some("parse"));
    assert_eq!(
        of("towpath.outcome.reason").as_deref(),
        Some("panicked: no number")
    );
}

#[test]
fn a_source_that_cannot_be_told_is_the_error() {
    let rig = Rig::new();
    let outcome = Outcome::Reject(Cause::new("parse".into(), "no number"));
    let gone = io::Error::other("gone");
    settle(&rig, &outcome, false).end(&End::failed_as("stale", &gone), AT);
    let span = rig.span("reject orders");
    assert_eq!(attribute(&span, "error.type").as_deref(), Some("stale"));
    assert_eq!(description(&span), Some("gone"));
}

#[test]
fn an_outcome_is_told_in_the_words_of_sources() {
    let rig = Rig::new();
    let dropped = Outcome::Drop(Reason::new("cancelled"));
    let retried = Outcome::retry_after(Duration::from_millis(1500));
    settle(&rig, &dropped, false).end(&End::Done, AT);
    settle(&rig, &retried, true).end(&End::Done, AT);
    let ack = rig.span("ack orders");
    let of = |key| attribute(&ack, key);
    assert_eq!(of("messaging.operation.name").as_deref(), Some("ack"));
    assert_eq!(of("messaging.operation.type").as_deref(), Some("settle"));
    assert_eq!(of("towpath.outcome").as_deref(), Some("dropped"));
    assert_eq!(of("towpath.outcome.reason").as_deref(), Some("cancelled"));
    assert_eq!(of("error.type"), None);
    let nack = rig.span("nack orders");
    let of = |key| attribute(&nack, key);
    assert_eq!(of("towpath.outcome").as_deref(), Some("retried"));
    assert_eq!(of("towpath.retry.after").as_deref(), Some("1.5"));
    assert_eq!(of("error.type").as_deref(), Some("abandoned"));
}

#[test]
fn links_beyond_the_limit_are_counted() {
    let rig = Rig::new();
    let begun = rig.begin(131);
    let first = attempt(&begun[0].root);
    begun[1..].iter().for_each(|other| first.link(&*other.root));
    first.end(&End::Done, AT);
    let span = rig.span("attempt parse");
    let linked: Vec<_> = span.links.iter().map(|link| &link.span_context).collect();
    let roots = rig.spans();
    let roots: Vec<_> = roots[1..129]
        .iter()
        .map(|root| root.span_context.clone())
        .collect();
    assert_eq!(linked, roots.iter().collect::<Vec<_>>());
    assert_eq!(
        attribute(&span, "towpath.links.dropped").as_deref(),
        Some("2")
    );
}

#[test]
fn more_links_fit_where_the_provider_has_room() {
    let provider = |builder: TracerProviderBuilder| builder.with_max_links_per_span(200);
    let rig = Rig::build(provider, |tracing| tracing.max_links(200));
    let begun = rig.begin(200);
    let first = attempt(&begun[0].root);
    begun[1..].iter().for_each(|other| first.link(&*other.root));
    first.end(&End::Done, AT);
    let span = rig.span("attempt parse");
    assert_eq!(span.links.len(), 199);
    assert_eq!(attribute(&span, "towpath.links.dropped"), None);
}

#[test]
fn headers_lead_back_to_the_span() {
    let rig = Rig::new();
    let first = attempt(&rig.begin_all(&[sent_by("01")])[0].root);
    let headers = first.headers();
    assert_eq!(
        headers.get("traceparent").unwrap(),
        format!("00-{}-01", first.id())
    );
    assert_eq!(headers.get("tracestate"), Some("vendor=kept"));
    let next = rig.begin_all(&[Origin::default().headers(headers)]);
    assert_eq!(next[0].root.id().trace, first.id().trace);
    let root = rig.spans().pop().expect("the second receipt");
    assert_eq!(root.parent_span_id, first.id().span.into());
    assert!(root.parent_span_is_remote);
}

#[test]
fn spans_of_the_user_join_inside() {
    let rig = Rig::new();
    let span = attempt(&rig.root());
    let tracer = rig.provider.tracer("user");
    {
        let _entered = enter(&span);
        assert_eq!(current().map(|span| span.id()), Some(span.id()));
        tracer.start("query");
    }
    assert!(!Context::current().has_active_span());
    assert_eq!(rig.span("query").parent_span_id, span.id().span.into());
}

#[test]
fn a_kind_may_be_made_at_run_time() {
    let rig = Rig::new();
    let error = io::Error::other("busy");
    let kind: Cow<'static, str> = format!("{}", 500 + 3).into();
    attempt(&rig.root()).end(&End::failed_as(kind, &error), AT);
    let span = rig.span("attempt parse");
    assert_eq!(attribute(&span, "error.type").as_deref(), Some("503"));
}
