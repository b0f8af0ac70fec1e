//! Retry on a stage: how often, when, at what cost, and what a message that waits holds.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod counting;
mod failures;
mod holding;
mod random;
mod stopping;
mod storms;
mod timing;

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use towpath::{BoxError, DeadLetter, Outcome, PipelineHandle, PolicyStatus, Retry};
use towpath_test::Recorder;

pub(super) const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

pub(super) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// So many attempts, a second apart, however many fail.
pub(super) fn every_second(attempts: u32) -> Retry {
    Retry::fixed(SECOND)
        .attempts(attempts)
        .budget_at_least(1_000_000)
}

/// A call of the handler, as it saw it deep inside.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Call {
    pub(super) item: u64,
    pub(super) at: Instant,
    pub(super) attempt: u32,
    pub(super) deadline: Option<Instant>,
}

/// The calls of a handler.
#[derive(Clone, Default)]
pub(super) struct Calls(Arc<Mutex<Vec<Call>>>);

pub(super) type Handled = Pin<Box<dyn Future<Output = Result<u64, BoxError>> + Send>>;

impl Calls {
    /// A handler that takes a while and ends as `act` says, which is given the item and how
    /// often that was called before.
    pub(super) fn handler<A>(
        &self,
        takes: Duration,
        act: A,
    ) -> impl Fn(u64) -> Handled + Clone + Send + Sync + 'static + use<A>
    where
        A: Fn(u64, usize) -> Result<(), BoxError> + Clone + Send + Sync + 'static,
    {
        let calls = self.clone();
        move |item| {
            let (calls, act) = (calls.clone(), act.clone());
            Box::pin(async move {
                let before = deep_inside(&calls, item).await;
                if !takes.is_zero() {
                    sleep(takes).await;
                }
                act(item, before)?;
                Ok(item)
            })
        }
    }

    pub(super) fn all(&self) -> Vec<Call> {
        self.0.lock().unwrap().clone()
    }

    pub(super) fn of(&self, item: u64) -> Vec<Call> {
        let mut all = self.all();
        all.retain(|call| call.item == item);
        all
    }

    pub(super) fn attempts_of(&self, item: u64) -> Vec<u32> {
        self.of(item).iter().map(|call| call.attempt).collect()
    }

    /// How long after `begun` the calls of an item began.
    fn times_of(&self, item: u64, begun: Instant) -> Vec<Duration> {
        let of = self.of(item);
        of.iter().map(|call| call.at - begun).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    pub(super) fn note(&self, item: u64) -> usize {
        let mut calls = self.0.lock().unwrap();
        let before = calls.iter().filter(|call| call.item == item).count();
        calls.push(Call {
            item,
            at: Instant::now(),
            attempt: towpath::attempt(),
            deadline: towpath::deadline(),
        });
        before
    }
}

/// Nothing is handed down but the item.
async fn deep_inside(calls: &Calls, item: u64) -> usize {
    let before = calls.note(item);
    tokio::task::yield_now().await;
    let last = *calls.of(item).last().unwrap();
    // Still its own after others were polled in between.
    let now = (towpath::attempt(), towpath::deadline());
    assert_eq!(now, (last.attempt, last.deadline));
    before
}

/// Fails the first calls of each item.
pub(super) fn fails(times: usize) -> impl Fn(u64, usize) -> Result<(), BoxError> + Clone {
    move |_, before| {
        if before < times {
            Err("not yet".into())
        } else {
            Ok(())
        }
    }
}

/// The error in the cause of a rejection.
#[track_caller]
pub(super) fn rejected<E: std::error::Error + 'static>(outcome: &Outcome) -> &E {
    let Outcome::Reject(cause) = outcome else {
        panic!("not rejected, but {outcome:?}");
    };
    let found = towpath::policy::find::<E>(cause.error());
    found.unwrap_or_else(|| panic!("another cause: {cause:?}"))
}

/// Budget left, attempts beside the first, and retries that the budget has refused.
fn retry_of(handle: &PipelineHandle, stage: &str) -> (u64, u64, u64) {
    for policy in handle.policies(stage).unwrap() {
        if let PolicyStatus::Retry {
            budget_left,
            retried,
            refused,
            ..
        } = policy
        {
            return (budget_left.unwrap(), retried, refused);
        }
    }
    panic!("no retry");
}

/// Position, attempts and causes of each letter, by position.
pub(super) fn letters(recorder: &Recorder<DeadLetter>) -> Vec<(u64, u32, Vec<String>)> {
    let letters = recorder.items().into_iter();
    let mut all: Vec<_> = letters
        .map(|letter| {
            let place = letter.origin.position.unwrap().offset;
            (place, letter.origin.attempt, letter.cause.chain())
        })
        .collect();
    all.sort_unstable();
    all
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all()).finish()
    }
}
