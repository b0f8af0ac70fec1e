//! What a pipeline says of itself: topology, what is fused, the bound, the guarantee.

use std::time::Duration;

use towpath::{Batcher, Flow, Guarantee, Pipeline, Processor, core::Redelivery};
use towpath_test::{Cue, Recorder, TestSource, check};

fn plain() -> Pipeline {
    let (source, _) = TestSource::new(0..10_u32).named("numbers").build();
    Flow::from(source)
        .map(|n| n + 1)
        .filter("odd", |n| n % 2 == 0)
        .process(Processor::new("handle", Cue::new().handler()).ordered(8))
        .flat_map(|n| [n, n])
        .batch(Batcher::new("collect").max_messages(50))
        .sink(Recorder::new().sink("write").workers(2))
        .named("plain")
}

fn forked() -> Pipeline {
    let (source, _) = TestSource::new(0..10_u32).named("numbers").build();
    Flow::from(source).named_route()
}

/// A router with two batchers behind it.
trait NamedRoute {
    fn named_route(self) -> Pipeline;
}

impl<O> NamedRoute for Flow<O>
where
    O: towpath::processor::Operator<Out = u32>,
{
    fn named_route(self) -> Pipeline {
        self.process(Processor::new("handle", Cue::new().handler()))
            .route(
                "parity",
                |n| n % 2 == 0,
                |branches| {
                    branches
                        .to(true, |flow| {
                            flow.batch(Batcher::new("evens"))
                                .sink(Recorder::new().sink("write evens"))
                        })
                        .to(false, |flow| {
                            flow.batch(Batcher::new("odds"))
                                .sink(Recorder::new().sink("write odds"))
                        })
                },
            )
            .named("forked")
    }
}

/// Kind and name of each stage.
fn stages(pipeline: &Pipeline) -> Vec<(&'static str, String)> {
    let topology = pipeline.topology();
    let stages = topology.stages().iter();
    stages
        .map(|stage| (stage.kind, stage.name.to_string()))
        .collect()
}

fn is_connected(pipeline: &Pipeline, from: &str, to: &str) -> bool {
    let topology = pipeline.topology();
    let name = |node: usize| topology.stages()[node].name.as_str();
    topology
        .edges()
        .any(|(a, b)| name(a) == from && name(b) == to)
}

#[test]
fn the_topology_lists_every_stage_with_name_kind_and_limits() {
    let pipeline = plain();
    let expected = [
        ("source", "numbers"),
        ("processor", "handle"),
        ("batcher", "collect"),
        ("sink", "write"),
    ];
    assert_eq!(
        stages(&pipeline),
        expected.map(|(kind, name)| (kind, name.to_owned()))
    );
    let topology = pipeline.topology();
    let limits: Vec<_> = topology
        .stages()
        .iter()
        .map(|s| (s.workers, s.concurrency))
        .collect();
    assert_eq!(limits, [(1, 1), (1, 8), (1, 1), (2, 2)]);
    assert!(is_connected(&pipeline, "numbers", "handle"));
    assert!(is_connected(&pipeline, "handle", "collect"));
    assert!(is_connected(&pipeline, "collect", "write"));
    assert_eq!(topology.edges().count(), 3);
}

#[test]
fn the_topology_of_a_fork_lists_every_branch() {
    let pipeline = forked();
    let stages = stages(&pipeline);
    for stage in [
        ("batcher", "evens"),
        ("batcher", "odds"),
        ("router", "parity"),
    ] {
        assert!(
            stages.contains(&(stage.0, stage.1.to_owned())),
            "{stage:?} in {stages:?}"
        );
    }
    assert!(is_connected(&pipeline, "handle", "parity"));
    assert!(is_connected(&pipeline, "evens", "write evens"));
    assert!(is_connected(&pipeline, "odds", "write odds"));
}

#[test]
fn the_topology_prints_as_text() {
    let text = plain().topology().to_string();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "plain");
    assert_eq!(lines.len(), 5);
    assert!(
        lines[1].contains("numbers") && lines[1].contains("map, filter"),
        "{text}"
    );
    assert!(lines[2].contains("handle x8 (ordered"), "{text}");
    assert!(
        lines[3].contains("50 messages") && lines[3].contains("-> write"),
        "{text}"
    );
}

#[test]
fn the_topology_prints_as_a_mermaid_chart() {
    let chart = forked().topology().mermaid();
    assert!(chart.starts_with("flowchart LR\n"), "{chart}");
    for part in [
        "numbers",
        "handle",
        "parity",
        "evens",
        "odds",
        "write evens",
        "write odds",
    ] {
        assert!(chart.contains(part), "{part} in {chart}");
    }
    let arrows = chart.lines().filter(|line| line.contains("-->")).count();
    assert!(arrows >= 6, "{chart}");
}

#[test]
fn an_explanation_says_what_is_fused_where_a_hop_is_paid_and_what_the_bound_is() {
    let pipeline = plain();
    let explanation = pipeline.explain();
    let text = explanation.to_string();
    assert!(text.contains("map, filter run in handle"), "{text}");
    assert!(text.contains("flat_map run in handle"), "{text}");
    for hop in ["numbers -> handle", "handle -> collect", "collect -> write"] {
        let paid = text
            .lines()
            .any(|l| l.trim_start().starts_with("hop ") && l.contains(hop));
        assert!(paid, "{hop} in {text}");
    }
    let bound = explanation.bound();
    assert!(text.contains(&format!("{bound} messages")), "{text}");
    assert!(bound > 0 && bound < 5000, "{bound}");
}

#[test]
fn a_budget_lowers_the_bound_and_never_raises_it() {
    let bound = plain().explain().bound();
    assert_eq!(plain().budget(10).explain().bound(), 10);
    assert_eq!(plain().budget(u64::MAX).explain().bound(), bound);
}

#[tokio::test(start_paused = true)]
async fn a_run_stays_within_the_bound_that_was_explained() {
    let (source, _) = TestSource::of(0..20_000_u32);
    let recorder = Recorder::new().delay(std::time::Duration::from_millis(3));
    let pipeline = Flow::from(source)
        .process(Processor::new("handle", Cue::new().handler()))
        .batch(Batcher::new("collect").max_messages(40))
        .sink(recorder.sink("write"));
    let bound = pipeline.explain().bound();
    let report = pipeline.run().await.unwrap();

    check(&report);
    assert_eq!(report.bound, bound);
    assert!(
        report.counts.high_water > bound / 4,
        "{} of {bound}",
        report.counts.high_water
    );
}

/// A pipeline whose source claims so much, with a sink that is idempotent or not.
fn promising(redelivery: Redelivery, idempotent: bool) -> Pipeline {
    let (source, _) = TestSource::new(0..10_u32).claims(redelivery).build();
    let sink = Recorder::new().sink("write");
    Flow::from(source).sink(if idempotent { sink.idempotent() } else { sink })
}

#[test]
fn the_deadline_of_a_message_is_shown() {
    let limited = plain().deadline(Duration::from_secs(5));
    assert_eq!(limited.topology().deadline(), Some(Duration::from_secs(5)));
    let first = |text: String| text.lines().next().map(str::to_owned);
    let expected = Some("plain, 5s for each message".to_owned());
    assert_eq!(first(limited.topology().to_string()), expected);
    assert_eq!(first(limited.explain().to_string()), expected);
    assert_eq!(plain().topology().deadline(), None);
    assert_eq!(first(plain().topology().to_string()).unwrap(), "plain");
}

#[test]
fn source_and_sink_together_decide_what_is_promised() {
    let cases = [
        (Redelivery::Never, true, Guarantee::AtMostOnce),
        (Redelivery::InProcess, true, Guarantee::AtMostOnce),
        (Redelivery::Durable, false, Guarantee::AtLeastOnce),
        (Redelivery::Durable, true, Guarantee::EffectivelyOnce),
    ];
    for (redelivery, idempotent, promised) in cases {
        let pipeline = promising(redelivery, idempotent);
        assert_eq!(
            pipeline.delivery_guarantee().0,
            promised,
            "{redelivery:?} {idempotent}"
        );
        assert!(
            pipeline
                .explain()
                .to_string()
                .contains(&promised.to_string())
        );
        pipeline.require(promised).check().unwrap();
    }
    let more = promising(Redelivery::Durable, false).require(Guarantee::EffectivelyOnce);
    assert!(more.check().is_err());
}

#[test]
fn acknowledging_early_or_a_copy_that_nobody_waits_for_takes_the_promise_away() {
    let source = || {
        TestSource::new(0..10_u32)
            .claims(Redelivery::Durable)
            .build()
            .0
    };
    let early = Flow::from(source())
        .acknowledge_now(|_| true)
        .sink(Recorder::new().sink("write").idempotent());
    let (promised, reasons) = early.delivery_guarantee();
    assert_eq!(promised, Guarantee::AtMostOnce);
    assert!(reasons[0].contains("acknowledge_now"), "{reasons:?}");

    let copied = Flow::from(source()).tee("copies", |copies| {
        copies
            .required("main", |flow| {
                flow.sink(Recorder::new().sink("write").idempotent())
            })
            .best_effort("side", Flow::acknowledge)
    });
    let (promised, reasons) = copied.delivery_guarantee();
    assert_eq!(promised, Guarantee::AtMostOnce);
    assert!(
        reasons.iter().any(|reason| reason.contains("side")),
        "{reasons:?}"
    );
}
