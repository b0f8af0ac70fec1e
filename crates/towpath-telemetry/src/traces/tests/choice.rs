//! Which messages are traced, and whose decision that is.

use std::{panic::catch_unwind, str::FromStr};

use opentelemetry::{
    Context, KeyValue,
    baggage::BaggageExt,
    propagation::TextMapCompositePropagator,
    trace::{Link, SpanId, SpanKind, TraceId, TraceState},
};
use opentelemetry_sdk::{
    propagation::{BaggagePropagator, TraceContextPropagator},
    trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample},
};
use towpath_core::Origin;

use super::{SENDER, TRACE, carrying, sent_by, *};
use crate::traces::is_decided;

fn indices(begun: &[Begun]) -> Vec<u32> {
    begun.iter().map(|begun| begun.index).collect()
}

#[test]
fn a_message_goes_on_with_the_trace_that_it_came_with() {
    let rig = Rig::with(|tracing| tracing.ratio(0.0));
    let begun = rig.begin_all(&[Origin::default(), sent_by("01"), Origin::default()]);
    assert_eq!(indices(&begun), [1]);
    let root = rig.span("poll orders");
    assert_eq!(
        root.span_context.trace_id(),
        TraceId::from_hex(TRACE).unwrap()
    );
    assert_eq!(root.parent_span_id, SpanId::from_hex(SENDER).unwrap());
    assert!(root.parent_span_is_remote);
    let state = TraceState::from_str("vendor=kept").unwrap();
    assert_eq!(*root.span_context.trace_state(), state);
}

#[test]
fn what_the_sender_does_not_trace_is_not_traced() {
    let rig = Rig::new();
    let begun = rig.begin_all(&[sent_by("00"), Origin::default(), sent_by("01")]);
    assert_eq!(indices(&begun), [1, 2]);
}

#[test]
fn a_parent_that_is_not_valid_decides_nothing() {
    let origins = [carrying(&[("traceparent", "00-nonsense-01")])];
    assert_eq!(Rig::new().begin_all(&origins).len(), 1);
    let never = Rig::with(|tracing| tracing.ratio(0.0));
    assert!(never.begin_all(&origins).is_empty());
}

#[test]
fn without_a_decision_the_ratio_chooses() {
    let rig = Rig::with(|tracing| tracing.ratio(0.01));
    let begun: usize = (0..1000).map(|_| rig.begin(64).len()).sum();
    // 64 000 messages: 640 expected, with a standard deviation of 25.
    assert!((540..=740).contains(&begun), "{begun}");
    assert_eq!(rig.spans().len(), begun);
}

#[test]
fn the_same_messages_are_chosen_whether_or_not_their_origin_is_known() {
    let set = |tracing: Tracing| tracing.ratio(0.2);
    let unseen = Rig::with(set).begin(500);
    let seen = Rig::with(set).begin_all(&vec![Origin::default(); 500]);
    assert!(!unseen.is_empty());
    assert_eq!(indices(&unseen), indices(&seen));
}

#[test]
fn chance_passes_over_the_messages_that_are_decided() {
    let rig = Rig::with(|tracing| tracing.ratio(0.2));
    let undecided = Rig::with(|tracing| tracing.ratio(0.2)).begin(250);
    let pair = [sent_by("00"), Origin::default()];
    let origins: Vec<_> = pair.into_iter().cycle().take(500).collect();
    let expected: Vec<_> = indices(&undecided).iter().map(|i| 2 * i + 1).collect();
    assert_eq!(indices(&rig.begin_all(&origins)), expected);
}

#[test]
fn all_is_all_and_none_is_none() {
    assert_eq!(Rig::new().begin(3).len(), 3);
    let none = Rig::with(|tracing| tracing.ratio(0.0));
    assert!(none.begin(1000).is_empty());
    assert!(none.spans().is_empty());
}

#[test]
fn a_provider_that_does_not_want_a_message_has_the_last_word() {
    let rig = Rig::sampled_by(Sampler::AlwaysOff);
    assert!(rig.begin(3).is_empty());
}

#[test]
fn a_provider_that_was_shut_down_traces_nothing() {
    let rig = Rig::new();
    rig.provider.shutdown().unwrap();
    assert!(rig.begin(3).is_empty());
}

#[test]
fn a_sampler_is_told_that_the_choice_is_made() {
    let rig = Rig::sampled_by(OnlyDecided);
    let root = rig.root();
    let stage = "parse".into();
    root.start(
        &towpath_core::trace::Step::Queue { stage: &stage },
        Duration::ZERO,
    );
    assert_eq!(rig.spans().len(), 2);
    assert!(!is_decided());
}

#[test]
fn a_sampler_that_panics_leaves_no_choice_behind() {
    let rig = Rig::sampled_by(Panics);
    let tracer = std::panic::AssertUnwindSafe(&rig);
    assert!(catch_unwind(|| tracer.begin(1)).is_err());
    assert!(!is_decided());
}

#[test]
fn other_propagators_read_and_write_other_headers() {
    let by = TextMapCompositePropagator::new(vec![
        Box::new(TraceContextPropagator::new()),
        Box::new(BaggagePropagator::new()),
    ]);
    let rig = Rig::with(|tracing| tracing.propagator(by));
    let parent = format!("00-{TRACE}-{SENDER}-01");
    let both = carrying(&[("traceparent", &parent), ("baggage", "tenant=a")]);
    let alone = carrying(&[("baggage", "tenant=b")]);
    let unrelated = carrying(&[("colour", "red")]);
    let begun = rig.begin_all(&[both, alone, sent_by("00"), unrelated]);
    assert_eq!(indices(&begun), [0, 1, 3]);
    let baggage = |begun: &Begun| begun.root.headers().get("baggage").map(str::to_owned);
    let baggage: Vec<_> = begun.iter().map(baggage).collect();
    assert_eq!(
        baggage,
        [Some("tenant=a".into()), Some("tenant=b".into()), None]
    );
    assert_eq!(format!("{:032x}", begun[0].root.id().trace), TRACE);
    let _scope = begun[1].root.enter();
    let tenant = Context::current()
        .baggage()
        .get("tenant")
        .map(ToString::to_string);
    assert_eq!(tenant.as_deref(), Some("b"));
}

#[derive(Clone, Debug)]
struct OnlyDecided;

impl ShouldSample for OnlyDecided {
    fn should_sample(
        &self,
        _: Option<&Context>,
        _: TraceId,
        _: &str,
        _: &SpanKind,
        _: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        SamplingResult {
            decision: if is_decided() {
                SamplingDecision::RecordAndSample
            } else {
                SamplingDecision::Drop
            },
            attributes: Vec::new(),
            trace_state: TraceState::NONE,
        }
    }
}

#[derive(Clone, Debug)]
struct Panics;

impl ShouldSample for Panics {
    fn should_sample(
        &self,
        _: Option<&Context>,
        _: TraceId,
        _: &str,
        _: &SpanKind,
        _: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        panic!("a sampler of a user")
    }
}
