//! Layers that lose the error, answer for others, or leave tasks behind.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::{task::JoinHandle, time::sleep};
use tower::Service;
use towpath::BoxError;
use towpath_test::layer::{Failed, Probe, Rule, Suite};

use super::finds;

/// Makes a text of the error.
#[derive(Clone)]
pub(super) struct Swallows(pub(super) Probe);

impl Service<u64> for Swallows {
    type Response = u64;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<u64, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0
            .poll_ready(cx)
            .map_err(|error| error.to_string().into())
    }

    fn call(&mut self, request: u64) -> Self::Future {
        let reply = self.0.call(request);
        Box::pin(async { reply.await.map_err(|error| error.to_string().into()) })
    }
}

/// Answers a failure with nothing.
#[derive(Clone)]
struct Soothes(Probe);

impl Service<u64> for Soothes {
    type Response = u64;
    type Error = Failed;
    type Future = BoxFuture<'static, Result<u64, Failed>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: u64) -> Self::Future {
        let reply = self.0.call(request);
        Box::pin(async { Ok(reply.await.unwrap_or_default()) })
    }
}

/// Makes each call in a task of its own, and lets go of it.
#[derive(Clone)]
struct Spawns(Probe);

impl Service<u64> for Spawns {
    type Response = u64;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<u64, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: u64) -> Self::Future {
        let called = spawn(self.0.call(request));
        Box::pin(async { Ok(called.await??) })
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the mistake")]
fn spawn<F: Future<Output: Send> + Send + 'static>(future: F) -> JoinHandle<F::Output> {
    tokio::spawn(future)
}

/// Looks after its numbers for ever.
fn with_a_ticker(inner: Probe) -> Probe {
    drop(spawn(async {
        loop {
            sleep(Duration::from_secs(1)).await;
        }
    }));
    inner
}

#[test]
fn an_error_that_is_only_a_text() {
    finds(
        &Suite::new(Swallows),
        Rule::Errors,
        "`layer::Failed` is not found",
    );
}

#[test]
fn an_error_that_is_no_error_any_more() {
    finds(&Suite::new(Soothes), Rule::Errors, "the call succeeds");
}

#[test]
fn a_fallback_that_was_announced_is_not_broken() {
    Suite::new(Soothes).answers_errors().check();
}

#[test]
fn a_call_that_goes_on_when_it_is_dropped() {
    finds(&Suite::new(Spawns), Rule::Cancellation, "goes on");
    finds(&Suite::new(Spawns), Rule::Tasks, "1 tasks go on");
}

#[test]
fn a_task_that_is_left_behind() {
    finds(&Suite::new(with_a_ticker), Rule::Tasks, "1 tasks go on");
}

#[test]
fn a_panic_that_was_to_be_caught() {
    let suite = Suite::new(|inner| inner).catches_panics();
    finds(&suite, Rule::Panics, "panics too");
}
