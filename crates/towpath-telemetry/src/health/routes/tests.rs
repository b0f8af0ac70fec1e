//! What is answered to what, with no network in between.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use axum::{
    body::{Body, to_bytes},
    http::{Method, Request},
};
use serde_json::Value;
use tower::Service;
use towpath_core::{Event, Inspect, Phase, Status, Telemetry};

use super::*;

struct Fake(Status);

impl Inspect for Fake {
    fn name(&self) -> &StageName {
        &self.0.name
    }
    fn phase(&self) -> Phase {
        self.0.phase
    }
    fn status(&self) -> Status {
        assert_ne!(
            self.0.name.as_str(),
            "broken",
            "a pipeline that cannot be asked"
        );
        self.0.clone()
    }
    fn diagram(&self) -> String {
        String::new()
    }
}

fn monitor(pipelines: impl IntoIterator<Item = Status>) -> Monitor {
    let monitor = Monitor::new();
    for status in pipelines {
        monitor.watch(Arc::new(Fake(status)));
    }
    monitor
}

fn running(name: &str) -> Status {
    Status::new(name.into(), Phase::Running)
}

async fn ask(router: &Router, request: Request<Body>) -> (StatusCode, String) {
    let response = router.clone().call(request).await.unwrap();
    let code = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (code, String::from_utf8(body.into()).unwrap())
}

async fn get_text(router: &Router, target: &str) -> (u16, String) {
    let request = Request::builder().uri(target).body(Body::empty()).unwrap();
    let (code, text) = ask(router, request).await;
    (code.as_u16(), text)
}

async fn get_json(router: &Router, target: &str) -> (u16, Value) {
    let (code, text) = get_text(router, target).await;
    (code, serde_json::from_str(&text).unwrap())
}

#[tokio::test]
async fn readiness_is_a_code_with_its_reasons() {
    let ready = router(monitor([running("orders")]), Checks::new());
    let expected = json!({ "status": "ready", "reasons": [] });
    assert_eq!(get_json(&ready, "/readyz").await, (200, expected));

    let draining = Status::new("orders".into(), Phase::Draining);
    let draining = router(monitor([draining]), Checks::new());
    let (code, said) = get_json(&draining, "/readyz").await;
    assert_eq!((code, &said["status"]), (503, &json!("not_ready")));
    assert_eq!(
        said["reasons"][0]["text"],
        "orders: draining, takes no more"
    );
    assert_eq!(get_json(&draining, "/livez").await.0, 200);
}

#[tokio::test]
async fn liveness_fails_from_one_look_to_the_next_when_nothing_moves() {
    let mut stuck = running("orders");
    stuck.counts.in_flight = 1;
    let checks = Checks::new().stalled_after(Duration::from_secs(60));
    let monitor = monitor([stuck.clone()]);
    let router = router(monitor.clone(), checks);
    assert_eq!(get_json(&router, "/livez").await.0, 200);
    stuck.elapsed = Duration::from_secs(61);
    monitor.watch(Arc::new(Fake(stuck)));
    let (code, said) = get_json(&router, "/livez").await;
    assert_eq!(
        (code, &said["reasons"][0]["kind"]),
        (503, &json!("stalled"))
    );
}

#[tokio::test]
async fn the_status_of_all_and_of_one_is_shown_and_a_missing_one_is_named() {
    let router = router(monitor([running("orders"), running("a b")]), Checks::new());
    let (code, all) = get_json(&router, "/status").await;
    let names: Vec<_> = [0, 1]
        .map(|i: usize| all["pipelines"][i]["name"].clone())
        .into();
    assert_eq!((code, names), (200, vec![json!("a b"), json!("orders")]));
    let (code, one) = get_json(&router, "/status/a%20b").await;
    assert_eq!(
        (code, &one["name"], &one["phase"]),
        (200, &json!("a b"), &json!("running"))
    );
    let expected = json!({
        "error": "there is no pipeline `bills`", "pipelines": ["a b", "orders"],
    });
    assert_eq!(get_json(&router, "/status/bills").await, (404, expected));
}

#[tokio::test]
async fn metrics_are_prometheus_text() {
    let router = router(monitor([running("orders")]), Checks::new());
    let request = Request::builder()
        .uri("/metrics")
        .body(Body::empty())
        .unwrap();
    let response = router.clone().call(request).await.unwrap();
    assert_eq!(
        response.headers()["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    let (_, text) = get_text(&router, "/metrics").await;
    assert!(text.contains("pipeline=\"orders\""), "{text}");
}

fn with_events() -> Router {
    let monitor = monitor([]);
    for (name, kind) in [
        ("orders", EventKind::Started),
        ("bills", EventKind::Started),
        ("orders", EventKind::Paused),
        ("orders", EventKind::Stopped),
    ] {
        let event = Event::new(Duration::from_secs(1), name.into(), kind);
        monitor.events().record(&name.into(), &event);
    }
    router(monitor, Checks::new())
}

#[tokio::test]
async fn events_are_found_by_what_is_asked() {
    let router = with_events();
    for (asked, expected) in [
        ("", vec![1, 2, 3, 4]),
        ("?pipeline=orders", vec![1, 3, 4]),
        ("?stage=bills", vec![2]),
        ("?kind=started", vec![1, 2]),
        ("?kind=started,stopped&pipeline=orders", vec![1, 4]),
        ("?limit=1", vec![4]),
        ("?since=1h", vec![1, 2, 3, 4]),
        ("?until=1h", vec![]),
        (
            "?since=2000-01-01T00:00:00Z&until=2001-01-01T00:00:00Z",
            vec![],
        ),
        ("?since=2000-01-01T00:00:00Z", vec![1, 2, 3, 4]),
    ] {
        let (code, said) = get_json(&router, &format!("/events{asked}")).await;
        let events = said["events"].as_array().unwrap();
        let numbers: Vec<_> = events
            .iter()
            .map(|e| e["number"].as_u64().unwrap())
            .collect();
        assert_eq!((code, numbers), (200, expected), "{asked}");
        assert_eq!((&said["last"], &said["forgotten"]), (&json!(4), &json!(0)));
    }
}

#[tokio::test]
async fn a_question_about_events_that_makes_no_sense_is_refused_and_says_what_is_wrong() {
    let router = with_events();
    for (asked, wrong) in [
        (
            "?kind=exploded",
            "`exploded` is no kind of event: started, paused",
        ),
        ("?kind=", "`` is no kind of event"),
        (
            "?since=yesterday",
            "`yesterday` is no time as in 2026-03-01T12:30:00Z",
        ),
        ("?until=5parsecs", "nor a time ago as in 5m"),
        ("?limit=-1", "limit"),
        ("?colour=red", "unknown field `colour`"),
    ] {
        let (code, said) = get_json(&router, &format!("/events{asked}")).await;
        let said = said["error"].as_str().unwrap();
        assert!(
            code == 400 && said.contains(wrong),
            "{asked}: {code} {said}"
        );
    }
}

#[tokio::test]
async fn only_reading_is_allowed() {
    let router = with_events();
    for (method, code) in [
        (Method::HEAD, 200),
        (Method::POST, 405),
        (Method::DELETE, 405),
    ] {
        let request = Request::builder().method(method.clone()).uri("/livez");
        let (found, body) = ask(&router, request.body(Body::empty()).unwrap()).await;
        assert_eq!((found.as_u16(), body.as_str()), (code, ""), "{method}");
    }
}

#[tokio::test]
async fn a_large_body_is_refused() {
    let request = Request::builder()
        .uri("/livez")
        .header("content-length", BODY + 1);
    let (code, _) = ask(
        &with_events(),
        request.body(Body::from(vec![0; BODY + 1])).unwrap(),
    )
    .await;
    assert_eq!(code, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_panic_costs_its_own_answer_only() {
    let router = router(monitor([running("broken")]), Checks::new());
    assert_eq!(get_text(&router, "/status").await.0, 500);
    assert_eq!(get_text(&router, "/readyz").await.0, 500);
    assert_eq!(get_text(&router, "/events").await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_too_long_is_given_up() {
    let hanging = Router::new().route("/", get(std::future::pending::<()>));
    let asked = tokio::time::Instant::now();
    assert_eq!(get_text(&layered(hanging), "/").await.0, 503);
    assert_eq!(asked.elapsed().as_secs(), TIMEOUT.as_secs());
}

#[tokio::test(start_paused = true)]
async fn so_many_are_answered_at_once_over_all_paths_and_the_others_wait() {
    static NOW: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    async fn slow() {
        MOST.fetch_max(NOW.fetch_add(1, SeqCst) + 1, SeqCst);
        tokio::time::sleep(Duration::from_secs(1)).await;
        NOW.fetch_sub(1, SeqCst);
    }
    let router = layered(Router::new().route("/a", get(slow)).route("/b", get(slow)));
    let mut asked = tokio::task::JoinSet::new();
    for i in 0..3 * AT_ONCE {
        let router = router.clone();
        let path = if i % 2 == 0 { "/a" } else { "/b" };
        asked.spawn(async move { get_text(&router, path).await.0 });
    }
    let codes = asked.join_all().await;
    assert!(codes.iter().all(|&code| code == 200), "{codes:?}");
    assert_eq!(MOST.load(SeqCst), AT_ONCE);
}

#[tokio::test]
async fn it_can_be_nested_in_a_server_of_the_users_own() {
    let inner = router(monitor([running("orders")]), Checks::new());
    let own = Router::new().nest("/towpath", inner.clone()).merge(inner);
    assert_eq!(get_text(&own, "/towpath/readyz").await.0, 200);
    assert_eq!(get_text(&own, "/readyz").await.0, 200);
    assert_eq!(get_text(&own, "/nothing").await.0, 404);
}
