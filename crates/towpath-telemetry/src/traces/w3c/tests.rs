//! Against the propagator of the OpenTelemetry SDK, which is not ours.

use std::collections::HashMap;

use opentelemetry::{Context, propagation::TextMapPropagator, trace::TraceContextExt};
use opentelemetry_sdk::propagation::TraceContextPropagator;

use super::*;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

fn headers(parent: &str, state: &str) -> Headers {
    [(TRACEPARENT, parent), (TRACESTATE, state)]
        .into_iter()
        .collect()
}

fn ours(headers: &Headers) -> Option<SpanContext> {
    parent(headers).map(|parent| parent.context(headers))
}

fn theirs(headers: &Headers) -> Option<SpanContext> {
    let carrier: HashMap<String, String> = headers
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
    let context = context.span().span_context().clone();
    context.is_valid().then_some(context)
}

#[test]
fn reads_what_the_sdk_reads() {
    let flags = ["00", "01", "03", "09", "ff"];
    let states = ["", "foo=bar", " a=1 ,, b@c=2,\td=3", "no list", "Upper=1"];
    for (flags, state) in flags.iter().flat_map(|f| states.map(|s| (f, s))) {
        for version in ["00", "01", "cc"] {
            let headers = headers(&format!("{version}-{TRACE}-{SPAN}-{flags}"), state);
            assert!(ours(&headers).is_some());
            assert_eq!(ours(&headers), theirs(&headers), "{headers:?}");
        }
    }
    let later = headers(&format!("01-{TRACE}-{SPAN}-01-what-else"), "a=b");
    assert_eq!(ours(&later), theirs(&later));
}

#[test]
fn refuses_what_the_sdk_refuses() {
    let zeros = |digits: usize| "0".repeat(digits);
    let wrong = [
        String::new(),
        "-".to_owned(),
        format!("00-{TRACE}-{SPAN}"),
        format!("00-{TRACE}-{SPAN}-"),
        format!("00-{TRACE}-{SPAN}-01-more"),
        format!("ff-{TRACE}-{SPAN}-01"),
        format!("qw-{TRACE}-{SPAN}-01"),
        format!("00-{}-{SPAN}-01", zeros(32)),
        format!("00-{TRACE}-{}-01", zeros(16)),
        format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
        format!("00-{TRACE}-{SPAN}-0x"),
        format!("00-{TRACE}-{SPAN}é-01"),
    ];
    for parent in wrong {
        let headers = headers(&parent, "a=b");
        assert_eq!(ours(&headers), None, "{parent}");
        assert_eq!(theirs(&headers), None, "{parent}");
    }
}

#[test]
fn writes_what_the_sdk_writes() {
    for state in ["", "foo=bar,b=c"] {
        let read = headers(&format!("00-{TRACE}-{SPAN}-01"), state);
        let context = ours(&read).expect("valid");
        let mut carrier: HashMap<String, String> = HashMap::new();
        let around = Context::new().with_remote_span_context(context.clone());
        TraceContextPropagator::new().inject_context(&around, &mut carrier);
        let written = write(&context);
        assert_eq!(
            written.get(TRACEPARENT),
            carrier.get(TRACEPARENT).map(String::as_str)
        );
        // Theirs writes an empty state; ours leaves it out.
        assert_eq!(
            written.get(TRACESTATE).unwrap_or_default(),
            carrier[TRACESTATE]
        );
    }
    assert_eq!(write(&SpanContext::NONE), Headers::default());
}

#[test]
fn several_states_are_one_list() {
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let all = [
        (TRACEPARENT, parent.as_str()),
        (TRACESTATE, "a=1"),
        (TRACESTATE, "b=2"),
    ];
    let context = ours(&all.into_iter().collect()).expect("valid");
    assert_eq!(context.trace_state().header(), "a=1,b=2");
}
