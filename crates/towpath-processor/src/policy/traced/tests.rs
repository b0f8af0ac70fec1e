//! Which spans the call for a traced message has.

use std::{
    sync::{Mutex, atomic::AtomicU64, atomic::Ordering::SeqCst},
    time::Duration,
};

use tokio::time::sleep;
use tower_layer::Layer;
use tower_service::Service;
use towpath_core::{
    BoxError, Headers,
    trace::{Scope, SpanId},
};
use towpath_policy::{HttpStatus, Policies, Retry, Timeout, service_fn};

use super::*;

/// A span that notes, in words, what becomes of it.
#[derive(Clone, Debug)]
struct Noted {
    id: u64,
    name: String,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    ids: AtomicU64,
    notes: Mutex<Vec<String>>,
    ended: Mutex<Vec<u64>>,
}

struct Left;

impl Scope for Left {}

impl Noted {
    fn named(shared: &Arc<Shared>, name: String) -> Self {
        Self {
            id: shared.ids.fetch_add(1, SeqCst),
            name,
            shared: shared.clone(),
        }
    }
}

impl Span for Noted {
    fn start(&self, step: &Step<'_>, at: Duration) -> Arc<dyn Span> {
        let name = match step {
            Step::Attempt { stage, number } => format!("attempt {stage} {number}"),
            Step::Wait { stage, reason } => format!("wait {stage} {reason}"),
            other => format!("{other:?}"),
        };
        let at = at.as_millis();
        let note = format!("{} > {name} at {at}", self.name);
        self.shared.notes.lock().unwrap().push(note);
        Arc::new(Self::named(&self.shared, name))
    }

    fn link(&self, _: &dyn Span) {}

    fn enter(&self) -> Box<dyn Scope> {
        Box::new(Left)
    }

    fn headers(&self) -> Headers {
        Headers::default()
    }

    fn id(&self) -> SpanId {
        SpanId {
            trace: 1,
            span: self.id,
        }
    }

    fn end(&self, end: &End<'_>, at: Duration) {
        {
            let mut ended = self.shared.ended.lock().unwrap();
            if ended.contains(&self.id) {
                return;
            }
            ended.push(self.id);
        }
        let how = match end {
            End::Done => "done".into(),
            End::Failed { kind, .. } => kind.clone(),
            End::Abandoned => "abandoned".into(),
            other => format!("{other:?}").into(),
        };
        let note = format!("{}: {how} at {}", self.name, at.as_millis());
        self.shared.notes.lock().unwrap().push(note);
    }
}

/// What the call for one message, made as a slot makes it, has noted within a second.
async fn noted<S>(mut service: S) -> Vec<String>
where
    S: Service<u32, Error = BoxError>,
{
    let shared = Arc::new(Shared::default());
    let begun = Instant::now();
    let ledger = Arc::new(Ledger::new(move || begun.elapsed()));
    let process: Arc<dyn Span> = Arc::new(Noted::named(&shared, "process".into()));
    let approach = Approach::none(&process, ledger.now());
    let observer = TracedCall::new(process, approach, StageName::from("price"), ledger);
    let within = tokio::time::timeout(Duration::from_secs(1), async {
        std::future::poll_fn(|cx| service.poll_ready(cx)).await?;
        let call = {
            let _entered = observe::enter(&observer);
            service.call(1)
        };
        call.await
    });
    // Cut short, well or not: the spans tell.
    drop(within.await);
    let notes = shared.notes.lock().unwrap();
    notes.clone()
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[tokio::test(start_paused = true)]
async fn attempts_and_the_waits_between_them_are_children_of_the_process_span() {
    let policies = Policies::new()
        .retry(Retry::fixed(ms(200)).attempts(2))
        .timeout(Timeout::after(ms(30)))
        .build()
        .unwrap();
    let slow_and_busy = service_fn(|_| async {
        if towpath_policy::context::attempt() == 1 {
            sleep(ms(500)).await;
        }
        Err::<u32, BoxError>(HttpStatus(429).into())
    });
    let expected = [
        "process > attempt price 1 at 0",
        "attempt price 1: timeout at 30",
        "process > wait price backoff at 30",
        "wait price backoff: done at 230",
        "process > attempt price 2 at 230",
        "attempt price 2: 429 at 230",
    ];
    assert_eq!(noted(policies.layer(slow_and_busy)).await, expected);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_cancelled_is_abandoned() {
    let policies = Policies::new().build().unwrap();
    let hangs = service_fn(|_| std::future::pending::<Result<u32, BoxError>>());
    let expected = [
        "process > attempt price 1 at 0",
        "attempt price 1: abandoned at 1000",
    ];
    assert_eq!(noted(policies.layer(hangs)).await, expected);
}

#[tokio::test(start_paused = true)]
async fn the_attempt_is_the_current_span_of_the_service_and_the_parent_of_calls_inside() {
    let inside = service_fn(|_| async {
        let span = trace::current().expect("the attempt is entered");
        assert_eq!(span.id().span, 2, "the process, an attempt, and this one");
        Ok::<u32, BoxError>(1)
    });
    let policies = Policies::new().build().unwrap();
    let outside = policies.layer(Policies::new().build().unwrap().layer(inside));
    let expected = [
        "process > attempt price 1 at 0",
        "attempt price 1 > attempt price 1 at 0",
        "attempt price 1: done at 0",
        "attempt price 1: done at 0",
    ];
    assert_eq!(noted(outside).await, expected);
    assert!(trace::current().is_none());
}

#[test]
fn a_wait_before_the_call_is_of_the_message_only_since_that_was_there() {
    let shared = Arc::new(Shared::default());
    let span = |name: &str| -> Arc<dyn Span> { Arc::new(Noted::named(&shared, name.to_owned())) };
    let (root, call) = (span("root"), span("process"));
    let approach = Approach {
        span: root.clone(),
        since: ms(100),
        until: ms(300),
    };
    let place = |from, to| {
        let (parent, from) = approach.place(&call, ms(from), ms(to))?;
        Some((parent.id().span, from))
    };
    assert_eq!(place(0, 300), Some((root.id().span, ms(100))));
    assert_eq!(place(200, 300), Some((root.id().span, ms(200))));
    assert_eq!(place(0, 50), None);
    assert_eq!(place(0, 100), None);
    assert_eq!(place(300, 400), Some((call.id().span, ms(300))));
}

#[tokio::test(start_paused = true)]
async fn a_wait_before_the_call_is_the_messages_and_as_long_as_that_was_there() {
    let shared = Arc::new(Shared::default());
    let begun = Instant::now();
    let ledger = Arc::new(Ledger::new(move || begun.elapsed()));
    let span = |name: &str| -> Arc<dyn Span> { Arc::new(Noted::named(&shared, name.into())) };
    let approach = Approach {
        span: span("root"),
        since: ms(100),
        until: ms(300),
    };
    let stage = StageName::from("price");
    let observer = TracedCall::new(span("process"), approach, stage, ledger);
    sleep(ms(500)).await;
    for (from, to) in [(20, 90), (50, 250), (200, 300), (300, 400)] {
        observer.waited(WaitReason::RateLimit, begun + ms(from), begun + ms(to));
    }
    let expected = [
        "root > wait price rate_limit at 100",
        "wait price rate_limit: done at 250",
        "root > wait price rate_limit at 200",
        "wait price rate_limit: done at 300",
        "process > wait price rate_limit at 300",
        "wait price rate_limit: done at 400",
    ];
    assert_eq!(*shared.notes.lock().unwrap(), expected);
}
