//! The alert rules that users import, in a Prometheus that evaluates them.

use serde_json::Value;
use towpath::{
    BoxError, CircuitBreaker, Flow, ForcedBreaker, Pipeline, Processor, Running, Source,
    core::{Intake, Producer, Received, Unacknowledged},
};
use towpath_telemetry::Monitor;
use towpath_test::{Cue, TestSource, assert_no_leaks};

use crate::{ms, observability, watch::Watch};

/// A source that is out of reach.
struct Unreachable;

impl Producer for Unreachable {
    type Payload = u64;
    type Acknowledger = Unacknowledged;

    async fn receive(&mut self, _: &mut Intake<u64, ()>) -> Result<Received, BoxError> {
        Err("nobody answers".into())
    }
}

fn rules(watch: &Watch) -> Vec<Value> {
    let data = watch.data("/api/v1/rules");
    let groups = data["groups"].as_array().unwrap().iter();
    let rules = groups.flat_map(|group| group["rules"].as_array().unwrap());
    rules.cloned().collect()
}

async fn start(pipeline: Pipeline, monitor: &Monitor) -> Running {
    pipeline.telemetry(monitor.clone()).start().await.unwrap()
}

async fn stop(running: Running) {
    running.handle().drain_within(ms(1000));
    assert_no_leaks(&running.join().await.unwrap());
}

/// The state of an alert about this pipeline.
fn alert(name: &str, pipeline: &str, state: &str) -> String {
    format!("ALERTS{{alertname='{name}',pipeline='{pipeline}',alertstate='{state}'}}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_alerts_are_evaluated_and_say_what_is_wrong() {
    let monitor = Monitor::new();
    let rules_file = observability("alerts.yml");
    let Some(watch) = Watch::begin(&monitor, &[&rules_file]).await else {
        return;
    };
    let unreachable = Flow::from(Source::new("far away", Unreachable)).acknowledge();
    let unreachable = start(unreachable.named("unreachable"), &monitor).await;

    let (source, _) = TestSource::new(0..3_u64).endless().build();
    let breaker = CircuitBreaker::failure_rate(0.5).waiting();
    let call = Processor::new("call", Cue::new().handler()).circuit_breaker(breaker);
    let broken = Flow::from(source).process(call).acknowledge();
    let broken = start(broken.named("broken"), &monitor).await;
    broken
        .handle()
        .force_breaker("call", ForcedBreaker::Open)
        .unwrap();

    // It hangs until its panics have been seen at zero.
    let (source, _) = TestSource::new(0..3_u64).endless().build();
    let cue = Cue::new().hang_when(|_| true).panic_when(|n| *n == 1);
    let panics = Flow::from(source).process(Processor::new("panics", cue.handler()));
    let panics = start(panics.acknowledge().named("panics"), &monitor).await;

    watch.becomes("towpath_stage_panicked_total{pipeline='panics'}", 0.0);
    cue.release();
    watch.becomes("towpath_stage_panicked_total{pipeline='panics'}", 1.0);
    for (name, pipeline, state) in [
        ("TowpathSourceUnreachable", "unreachable", "pending"),
        ("TowpathBreakerOpen", "broken", "pending"),
        ("TowpathBreakerForced", "broken", "pending"),
        ("TowpathPanics", "panics", "firing"),
    ] {
        watch.becomes(&alert(name, pipeline, state), 1.0);
    }
    // Nothing is said of those that are well.
    assert!(
        watch
            .ask("ALERTS{alertname='TowpathSourceUnreachable',pipeline!='unreachable'}")
            .is_empty()
    );
    assert!(
        watch
            .ask("ALERTS{alertname='TowpathDown',alertstate='firing'}")
            .is_empty()
    );
    for pipeline in [unreachable, broken, panics] {
        stop(pipeline).await;
    }
    watch.becomes("sum(towpath_pipeline_phase{phase='stopped'})", 3.0);
    all_evaluate(&watch);
    texts_are_whole(&watch);
    watch.end().await;
}

fn all_evaluate(watch: &Watch) {
    let rules = rules(watch);
    assert!(rules.len() > 15, "{}", rules.len());
    for rule in rules {
        let (name, health) = (&rule["name"], &rule["health"]);
        let said = rule["lastError"].as_str().unwrap_or_default();
        assert!(
            health == "ok" && said.is_empty(),
            "{name} is {health}: {said}"
        );
    }
}

/// What somebody would be told has no holes.
fn texts_are_whole(watch: &Watch) {
    let data = watch.data("/api/v1/alerts");
    let alerts = data["alerts"].as_array().unwrap();
    assert!(!alerts.is_empty());
    for alert in alerts {
        let text = alert["annotations"].to_string();
        let is_whole = !text.contains("<error") && !text.contains("<no value>");
        assert!(is_whole && text.contains("summary"), "{text}");
    }
}
