//! What is found, and how it is said.

use serde_json::json;
use towpath_core::{ForcedBreaker, QueueStatus, ReachStatus, SourceStatus};

use super::*;

fn orders(phase: Phase) -> Status {
    Status::new("orders".into(), phase)
}

fn with_source(error: Option<&str>) -> Status {
    let mut status = orders(Phase::Running);
    let mut source = SourceStatus::new("kafka".into());
    source.error = error.map(Into::into);
    status.sources.push(source);
    status
}

fn with_breaker(state: BreakerState) -> Status {
    let mut status = orders(Phase::Running);
    let mut enrich = StageStatus::new("enrich".into(), "processor");
    enrich.policies.push(PolicyStatus::CircuitBreaker {
        state,
        forced: ForcedBreaker::Auto,
        failure_rate: None,
        slow_rate: None,
        calls: 0,
        opened: 0,
        waited: 0,
        waited_for: Duration::ZERO,
        rejected: 0,
    });
    status.stages.push(enrich);
    status
}

fn with_queue(depth: u64, capacity: u64) -> Status {
    let mut status = orders(Phase::Running);
    let mut stage = StageStatus::new("enrich".into(), "processor");
    let mut queue = QueueStatus::default();
    (queue.depth, queue.capacity) = (depth, capacity);
    stage.queue = Some(queue);
    status.stages.push(stage);
    status
}

/// The word for its health, and the texts of the reasons.
fn found(checks: &Checks, status: Status) -> (&'static str, Vec<String>) {
    let health = checks.readiness(&[status]);
    let texts = health.findings.iter().map(ToString::to_string).collect();
    assert_eq!(health.is_ready(), health.word() != "not_ready");
    (health.word(), texts)
}

fn by_default(status: Status) -> (&'static str, Vec<String>) {
    found(&Checks::new(), status)
}

fn none() -> Vec<String> {
    Vec::new()
}

#[test]
fn a_pipeline_that_runs_is_ready_without_a_reason() {
    assert_eq!(by_default(orders(Phase::Running)), ("ready", none()));
    assert_eq!(by_default(with_source(None)), ("ready", none()));
    let closed = with_breaker(BreakerState::Closed);
    assert_eq!(by_default(closed), ("ready", none()));
    assert_eq!(by_default(with_queue(1, 10)), ("ready", none()));
}

#[test]
fn a_source_that_is_out_of_reach_is_not_ready_and_says_why() {
    let expected = vec!["kafka of orders: out of reach: refused".to_owned()];
    let status = with_source(Some("refused"));
    assert_eq!(by_default(status), ("not_ready", expected));
}

#[test]
fn a_sink_that_is_out_of_reach_is_not_ready_and_says_why() {
    let mut status = orders(Phase::Running);
    let mut store = StageStatus::new("store".into(), "sink");
    store.reach = Some(ReachStatus::default());
    status.stages.push(store);
    assert_eq!(by_default(status.clone()), ("ready", none()));
    let mut lost = ReachStatus::default();
    lost.error = Some("refused".to_owned());
    status.stages[0].reach = Some(lost);
    let expected = vec!["store of orders: out of reach: refused".to_owned()];
    assert_eq!(by_default(status), ("not_ready", expected));
}

#[test]
fn an_open_breaker_is_not_ready_and_one_that_tries_again_is_degraded() {
    let open = vec!["enrich of orders: circuit breaker is open".to_owned()];
    let status = with_breaker(BreakerState::Open);
    assert_eq!(by_default(status), ("not_ready", open));
    let half = vec!["enrich of orders: circuit breaker is half open".to_owned()];
    let status = with_breaker(BreakerState::HalfOpen);
    assert_eq!(by_default(status), ("degraded", half));
}

#[test]
fn a_full_queue_is_worth_a_look_and_no_more_unless_it_is_said() {
    assert_eq!(by_default(with_queue(89, 100)), ("ready", none()));
    let text = |depth| {
        vec![format!(
            "enrich of orders: {depth} of 100 places in its queue are taken"
        )]
    };
    assert_eq!(by_default(with_queue(90, 100)), ("degraded", text(90)));
    assert_eq!(by_default(with_queue(100, 100)), ("degraded", text(100)));

    let strict = Checks::new().queue_warn(0.5).queue_critical(0.95);
    assert_eq!(found(&strict, with_queue(50, 100)), ("degraded", text(50)));
    assert_eq!(found(&strict, with_queue(95, 100)), ("not_ready", text(95)));
    let never = Checks::new().queue_warn(f64::NAN);
    assert_eq!(found(&never, with_queue(100, 100)), ("ready", none()));
    assert_eq!(by_default(with_queue(0, 0)), ("ready", none()));
}

#[test]
fn a_threshold_is_told_with_the_finding() {
    let checks = Checks::new().queue_critical(0.95);
    let found = &checks.examine(&with_queue(96, 100))[0];
    let full = Ailment::QueueFull {
        depth: 96,
        capacity: 100,
        threshold: 0.95,
    };
    assert_eq!((found.level, &found.ailment), (Level::Critical, &full));
}

#[test]
fn a_pipeline_that_takes_no_more_is_not_ready_and_a_paused_one_is() {
    let said = |phase| by_default(orders(phase));
    let text = |text: &str| vec![text.to_owned()];
    assert_eq!(said(Phase::Paused), ("degraded", text("orders: paused")));
    let draining = text("orders: draining, takes no more");
    assert_eq!(said(Phase::Draining), ("not_ready", draining));
    assert_eq!(
        said(Phase::Stopped),
        ("not_ready", text("orders: has ended"))
    );
    let patient = Checks::new().allow_ended(true);
    assert_eq!(found(&patient, orders(Phase::Stopped)), ("ready", none()));
}

#[test]
fn a_pipeline_that_has_ended_has_no_other_ailment() {
    let mut status = with_source(Some("refused"));
    status.stages = with_breaker(BreakerState::Open).stages;
    status.phase = Phase::Stopped;
    assert_eq!(by_default(status.clone()).1, ["orders: has ended"]);
    assert_eq!(found(&Checks::new().allow_ended(true), status).1, none());
}

#[test]
fn nothing_at_all_is_not_ready_unless_it_is_allowed() {
    let health = Checks::new().readiness(&[]);
    assert_eq!(health.findings[0].to_string(), "no pipeline has begun");
    assert!(!health.is_ready());
    assert!(Checks::new().allow_empty(true).readiness(&[]).is_ready());
}

#[test]
fn all_reasons_of_all_pipelines_are_listed_the_worst_first() {
    let mut bills = with_queue(100, 100);
    bills.name = "bills".into();
    bills.sources = with_source(Some("refused")).sources;
    let health = Checks::new().readiness(&[orders(Phase::Paused), bills]);
    let levels: Vec<_> = health.findings.iter().map(|f| f.level).collect();
    assert_eq!(levels, [Level::Critical, Level::Warn, Level::Warn]);
    let expected = json!({
        "status": "not_ready",
        "reasons": [
            { "level": "critical", "kind": "source_unreachable", "pipeline": "bills",
              "stage": "kafka", "text": "kafka of bills: out of reach: refused" },
            { "level": "warn", "kind": "paused", "pipeline": "orders", "stage": null,
              "text": "orders: paused" },
            { "level": "warn", "kind": "queue_full", "pipeline": "bills", "stage": "enrich",
              "text": "enrich of bills: 100 of 100 places in its queue are taken" },
        ],
    });
    assert_eq!(serde_json::to_value(&health).unwrap(), expected);
}
