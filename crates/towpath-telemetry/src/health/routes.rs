//! What the server answers.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, Query as Parameters, State, rejection::QueryRejection},
    http::{HeaderValue, StatusCode, header},
    middleware::map_response,
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower_http::{
    catch_panic::CatchPanicLayer, compression::CompressionLayer, limit::RequestBodyLimitLayer,
    timeout::TimeoutLayer, trace::TraceLayer,
};
use towpath_core::{EventKind, StageName};

use super::{Checks, Health, Stalls};
use crate::{
    Monitor,
    events::{Query, Timestamp, TimestampError},
    metrics,
};

/// A request is answered within this time, with 503 if need be.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);
/// How many requests are answered at once; others wait.
const AT_ONCE: usize = 16;
/// No request has a body that anybody reads.
const BODY: usize = 4096;
/// How many events are shown unless it is said.
const EVENTS: usize = 100;

#[derive(Debug)]
struct App {
    monitor: Monitor,
    checks: Checks,
    stalls: Mutex<Stalls>,
}

type Shared = State<Arc<App>>;

/// What [`Server`](super::Server) answers, for a server of your own: it can be nested or
/// merged.
///
/// | path | answer |
/// |---|---|
/// | `/livez` | 200 while nothing is stalled, else 503; JSON with reasons |
/// | `/readyz` | 200 while nothing critical is found, else 503; JSON with reasons |
/// | `/metrics` | figures as Prometheus text |
/// | `/status` | all that is known of each pipeline, as JSON |
/// | `/status/{pipeline}` | all that is known of one |
/// | `/events` | what happened; `?pipeline=&stage=&kind=a,b&since=&until=&limit=`, where a time is `5m` (ago) or `2026-03-01T12:30:00Z` |
///
/// Answers come within 5 seconds, 16 at once, compressed for who accepts gzip; a panic costs
/// its own answer only. Whether the `Host` of a request is one of yours, and who may ask at
/// all, is for the server around it to check.
pub fn router(monitor: Monitor, checks: Checks) -> Router {
    layered(routes(monitor, checks))
}

pub(super) fn routes(monitor: Monitor, checks: Checks) -> Router {
    let app = App {
        monitor,
        checks,
        stalls: Mutex::default(),
    };
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(prometheus))
        .route("/status", get(statuses))
        .route("/status/{pipeline}", get(status))
        .route("/events", get(events))
        .with_state(Arc::new(app))
}

/// What each answer goes through, from the inside out.
pub(super) fn layered(routes: Router) -> Router {
    let timeout = TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, TIMEOUT);
    routes
        .layer(map_response(not_to_be_kept))
        .layer(CompressionLayer::new())
        .layer(RequestBodyLimitLayer::new(BODY))
        .layer(GlobalConcurrencyLimitLayer::new(AT_ONCE))
        .layer(timeout)
        .layer(TraceLayer::new_for_http())
        .layer(CatchPanicLayer::new())
}

async fn not_to_be_kept(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}

async fn livez(State(app): Shared) -> Response {
    let statuses = app.monitor.statuses();
    let mut stalls = app.stalls.lock().unwrap_or_else(PoisonError::into_inner);
    let health = stalls.liveness(&app.checks, &statuses);
    drop(stalls);
    answer(&health)
}

async fn readyz(State(app): Shared) -> Response {
    answer(&app.checks.readiness(&app.monitor.statuses()))
}

fn answer(health: &Health) -> Response {
    let code = if health.is_ready() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (code, Json(health)).into_response()
}

async fn prometheus(State(app): Shared) -> impl IntoResponse {
    let kind = [(header::CONTENT_TYPE, metrics::CONTENT_TYPE)];
    (kind, app.monitor.prometheus())
}

async fn statuses(State(app): Shared) -> impl IntoResponse {
    Json(json!({ "pipelines": app.monitor.statuses() }))
}

async fn status(State(app): Shared, Path(name): Path<String>) -> Response {
    let statuses = app.monitor.statuses();
    if let Some(status) = statuses.iter().find(|s| s.name.as_str() == name) {
        return Json(status).into_response();
    }
    let names: Vec<&StageName> = statuses.iter().map(|status| &status.name).collect();
    let error = format!("there is no pipeline `{name}`");
    let missing = json!({ "error": error, "pipelines": names });
    (StatusCode::NOT_FOUND, Json(missing)).into_response()
}

/// What `/events` can be asked.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    pipeline: Option<String>,
    stage: Option<String>,
    kind: Option<String>,
    since: Option<String>,
    until: Option<String>,
    limit: Option<usize>,
}

async fn events(State(app): Shared, asked: Result<Parameters<Asked>, QueryRejection>) -> Response {
    let asked = asked.map_err(|rejection| rejection.body_text());
    let query = match asked.and_then(|Parameters(asked)| asked.query(Timestamp::now())) {
        Ok(query) => query,
        Err(error) => {
            let error = Json(json!({ "error": error }));
            return (StatusCode::BAD_REQUEST, error).into_response();
        }
    };
    let log = app.monitor.events();
    let shown = json!({
        "events": log.query(&query), "last": log.last(), "forgotten": log.forgotten(),
        "files": log.files(),
    });
    Json(shown).into_response()
}

impl Asked {
    fn query(self, now: Timestamp) -> Result<Query, String> {
        let mut query = Query::new().limit(self.limit.unwrap_or(EVENTS));
        if let Some(pipeline) = self.pipeline {
            query = query.pipeline(pipeline);
        }
        if let Some(stage) = self.stage {
            query = query.stage(stage);
        }
        for kind in self.kind.iter().flat_map(|kinds| kinds.split(',')) {
            query = query.kind(known(kind)?);
        }
        if let Some(since) = self.since {
            query = query.since(moment(&since, now)?);
        }
        if let Some(until) = self.until {
            query = query.until(moment(&until, now)?);
        }
        Ok(query)
    }
}

fn known(kind: &str) -> Result<&str, String> {
    let words = EventKind::WORDS;
    let error = || format!("`{kind}` is no kind of event: {}", words.join(", "));
    words.contains(&kind).then_some(kind).ok_or_else(error)
}

/// A time that has passed since, as in `5m`, or a moment.
fn moment(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(ago) = humantime::parse_duration(text) {
        return Ok(now.before(ago));
    }
    let error = |error: TimestampError| format!("{error}, nor a time ago as in 5m");
    text.parse().map_err(error)
}

#[cfg(test)]
mod tests;
