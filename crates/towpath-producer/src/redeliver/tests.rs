//! Messages that come again.

use std::{
    collections::VecDeque,
    panic::AssertUnwindSafe,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio::time::{Instant, advance};
use towpath_core::{
    Acknowledger, Cause, Delivery, Outcome, Reason, SettleOptions, Settled, UnsupportedOption,
};

use super::*;
use crate::{
    ingress::{Ingress, Overflow},
    iter::IterSource,
    test_kit::{Engine, Taken, settle},
};

const DELAY: Duration = Duration::from_secs(5);

fn numbers(count: u32) -> Engine<Redeliver<IterSource<std::ops::Range<u32>>>> {
    Engine::new(Redeliver::new(IterSource::new(0..count)))
}

fn retry(after: Duration) -> Outcome {
    Outcome::retry_after(after)
}

/// Given back after so many attempts in place.
fn tried(attempts: u32) -> Outcome {
    let mut outcome = retry(DELAY);
    if let Outcome::Retry {
        attempts: tried, ..
    } = &mut outcome
    {
        *tried = attempts;
    }
    outcome
}

fn all<P: Producer>(
    taken: Vec<Taken<P>>,
    outcome: &Outcome,
) -> Vec<(towpath_core::Token<P>, Outcome)> {
    let pair = |t: Taken<P>| (t.token, outcome.clone());
    taken.into_iter().map(pair).collect()
}

fn attempts<P: Producer>(taken: &[Taken<P>]) -> Vec<u32> {
    taken.iter().map(|t| t.origin.attempt).collect()
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_given_back_comes_again_after_its_delay_with_its_attempt_counted() {
    let mut source = numbers(1);
    let mut acknowledger = source.source.acknowledger().unwrap();
    for attempt in 1..=3 {
        let given_back = Instant::now();
        assert_eq!(source.receive(8).await.unwrap(), Received::More);
        let taken = source.taken();
        assert_eq!((taken[0].payload, attempts(&taken)), (0, vec![attempt]));
        let waited = if attempt == 1 { Duration::ZERO } else { DELAY };
        assert_eq!(given_back.elapsed(), waited);
        let settled = settle(&mut acknowledger, all(taken, &retry(DELAY))).await;
        assert_eq!(settled.confirmed, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_does_not_end_while_a_message_may_come_again() {
    let mut source = numbers(2);
    let mut acknowledger = source.source.acknowledger().unwrap();
    assert_eq!(source.receive(8).await.unwrap(), Received::More);
    let taken = source.taken();
    assert_eq!(taken.len(), 2);
    assert!(source.cut_short(8).is_none(), "both are in flight");
    settle(&mut acknowledger, all(taken, &retry(DELAY))).await;
    assert!(source.cut_short(8).is_none(), "both are parked");
    assert_eq!(source.receive(8).await.unwrap(), Received::More);
    let again = source.taken();
    assert_eq!(attempts(&again), [2, 2]);
    settle(&mut acknowledger, all(again, &Outcome::Done)).await;
    assert_eq!(source.receive(8).await.unwrap(), Received::End);
}

#[tokio::test(start_paused = true)]
async fn the_last_outcome_wakes_a_source_that_waits_to_end() {
    let mut source = numbers(1);
    let mut acknowledger = source.source.acknowledger().unwrap();
    let _more = source.receive(8).await.unwrap();
    let taken = source.taken();
    let receive = source.receive(8);
    tokio::pin!(receive);
    assert!(receive.as_mut().now_or_never().is_none());
    settle(&mut acknowledger, all(taken, &Outcome::Done)).await;
    assert_eq!(receive.await.unwrap(), Received::End);
}

#[tokio::test(start_paused = true)]
async fn a_message_comes_as_often_as_it_has_attempts_and_is_then_given_up() {
    let attempts = NonZeroU32::new(3).unwrap();
    let source = Redeliver::new(Fake::of(1)).attempts(attempts);
    let (told, given_up) = (source.get_ref().told.clone(), source.given_up());
    let mut source = Engine::new(source);
    let mut acknowledger = source.source.acknowledger().unwrap();
    let mut deliveries = 0;
    while source.receive(8).await.unwrap() == Received::More {
        deliveries += 1;
        assert_eq!((told.count(), given_up.count()), (0, 0));
        let taken = source.taken();
        settle(&mut acknowledger, all(taken, &retry(DELAY))).await;
    }
    assert_eq!(deliveries, attempts.get());
    assert_eq!(told.words(), ["retried"]);
    assert_eq!(given_up.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn attempts_made_in_place_count_a_message_tried_three_times_comes_again_as_the_fourth() {
    let mut source = numbers(1);
    let mut acknowledger = source.source.acknowledger().unwrap();
    let _more = source.receive(8).await.unwrap();
    let taken = source.taken();
    assert_eq!(attempts(&taken), [1]);
    settle(&mut acknowledger, all(taken, &tried(3))).await;
    let _more = source.receive(8).await.unwrap();
    let again = source.taken();
    assert_eq!(attempts(&again), [4]);
    settle(&mut acknowledger, all(again, &retry(DELAY))).await;
    let _more = source.receive(8).await.unwrap();
    assert_eq!(attempts(&source.taken()), [5]);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_used_its_attempts_up_in_place_does_not_come_again() {
    let limit = NonZeroU32::new(3).unwrap();
    let source = Redeliver::new(Fake::of(2)).attempts(limit);
    let (told, given_up) = (source.get_ref().told.clone(), source.given_up());
    let mut source = Engine::new(source);
    let mut acknowledger = source.source.acknowledger().unwrap();
    let _more = source.receive(8).await.unwrap();
    let tokens = source.taken().into_iter().map(|t| t.token);
    settle(&mut acknowledger, tokens.zip([tried(3), tried(2)])).await;
    assert_eq!((told.words(), given_up.count()), (vec!["retried"], 1));
    let _more = source.receive(8).await.unwrap();
    let last = source.taken();
    assert_eq!((last[0].payload, attempts(&last)), (1, vec![3]));
    settle(&mut acknowledger, all(last, &tried(1))).await;
    assert_eq!((told.count(), given_up.count()), (2, 2));
    assert_eq!(source.receive(8).await.unwrap(), Received::End);
}

#[tokio::test(start_paused = true)]
async fn any_other_outcome_is_told_to_the_wrapped_source() {
    let source = Redeliver::new(Fake::of(3));
    let told = source.get_ref().told.clone();
    let mut source = Engine::new(source);
    let mut acknowledger = source.source.acknowledger().unwrap();
    let _more = source.receive(8).await.unwrap();
    let outcomes = [
        Outcome::Done,
        Outcome::Reject(Cause::new("stage".into(), "broken")),
        Outcome::Drop(Reason::new("filtered")),
    ];
    let tokens = source.taken().into_iter().map(|t| t.token);
    let settled = settle(&mut acknowledger, tokens.zip(outcomes)).await;
    assert_eq!(settled.stale, 3, "as the wrapped source says");
    assert_eq!(told.words(), ["done", "rejected", "dropped"]);
    assert_eq!(source.receive(8).await.unwrap(), Received::End);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_cannot_be_told_is_left_to_be_told_again() {
    let mut source = Redeliver::new(Fake::of(2)).attempts(NonZeroU32::MIN);
    source.get_mut().settles_fail = 1;
    let (told, given_up) = (source.get_ref().told.clone(), source.given_up());
    let mut source = Engine::new(source);
    let mut acknowledger = source.source.acknowledger().unwrap();
    let _more = source.receive(8).await.unwrap();
    let mut run = all(source.taken(), &retry(DELAY));
    assert!(acknowledger.settle(&mut run).await.is_err());
    assert_eq!((run.len(), told.count()), (2, 0));
    settle(&mut acknowledger, run).await;
    assert_eq!(told.words(), ["retried", "retried"]);
    assert_eq!(given_up.count(), 2, "each is counted once");
}

#[tokio::test(start_paused = true)]
async fn an_outcome_survives_a_settlement_that_is_cut_short() {
    let mut source = Redeliver::new(Fake::of(1));
    source.get_mut().settle_takes = DELAY;
    let told = source.get_ref().told.clone();
    let mut source = Engine::new(source);
    let mut acknowledger = source.source.acknowledger().unwrap();
    let _more = source.receive(8).await.unwrap();
    let mut run = all(source.taken(), &Outcome::Done);
    assert!(acknowledger.settle(&mut run).now_or_never().is_none());
    settle(&mut acknowledger, run).await;
    assert_eq!(told.words(), ["done"]);
}

#[tokio::test(start_paused = true)]
async fn messages_come_again_in_the_order_in_which_they_are_due() {
    let mut source = numbers(3);
    let mut acknowledger = source.source.acknowledger().unwrap();
    let _more = source.receive(8).await.unwrap();
    let tokens = source.taken().into_iter().map(|t| t.token);
    let delays = [3, 1, 2].map(|seconds| retry(Duration::from_secs(seconds)));
    settle(&mut acknowledger, tokens.zip(delays)).await;
    let mut again = Vec::new();
    for _ in 0..3 {
        let _more = source.receive(8).await.unwrap();
        again.extend(source.payloads());
    }
    assert_eq!(again, [1, 2, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_receive_that_is_cut_short_loses_neither_new_nor_returning_messages() {
    let capacity = NonZeroUsize::new(8).unwrap();
    let (ingress, handle) = Ingress::new(capacity, Overflow::Reject);
    let mut source = Engine::new(Redeliver::new(ingress));
    let mut acknowledger = source.source.acknowledger().unwrap();
    assert!(source.cut_short(8).is_none());
    handle.push(1).await.unwrap();
    while source.cut_short(8).is_none() {}
    let taken = source.taken();
    settle(&mut acknowledger, all(taken, &retry(DELAY))).await;
    assert!(source.cut_short(8).is_none(), "not due");
    handle.push(2).await.unwrap();
    advance(DELAY).await;
    let mut payloads = Vec::new();
    while payloads.len() < 2 {
        drop(source.cut_short(8));
        payloads.extend(source.payloads());
    }
    assert_eq!(payloads, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn nothing_new_is_received_while_the_parking_is_full() {
    let parking = NonZeroUsize::new(2).unwrap();
    let source = Redeliver::new(IterSource::new(0..10)).max_parked(parking);
    let mut source = Engine::new(source);
    let mut acknowledger = source.source.acknowledger().unwrap();
    for _ in 0..2 {
        let _more = source.receive(1).await.unwrap();
        let taken = source.taken();
        settle(&mut acknowledger, all(taken, &retry(DELAY))).await;
    }
    let full = Instant::now();
    let _more = source.receive(1).await.unwrap();
    assert_eq!(source.payloads(), [0], "the first of the parked");
    assert_eq!(full.elapsed(), DELAY);
}

#[tokio::test(start_paused = true)]
async fn a_drain_delivers_what_is_parked_at_once_and_parks_nothing_more() {
    let source = Redeliver::new(Fake::of(2));
    let (told, given_up) = (source.get_ref().told.clone(), source.given_up());
    let mut source = Engine::new(source);
    let mut acknowledger = source.source.acknowledger().unwrap();
    let _more = source.receive(8).await.unwrap();
    let mut taken = source.taken();
    let in_flight = taken.pop().unwrap();
    settle(&mut acknowledger, all(taken, &retry(DELAY))).await;
    let start = Instant::now();
    source.drain(8).await.unwrap();
    let drained = source.taken();
    let payloads: Vec<_> = drained.iter().map(|t| t.payload).collect();
    assert_eq!(
        payloads,
        [0, DRAINED],
        "what was parked, and what the wrapped source drains"
    );
    assert_eq!(start.elapsed(), Duration::ZERO);
    settle(&mut acknowledger, all(drained, &retry(DELAY))).await;
    settle(&mut acknowledger, all(vec![in_flight], &retry(DELAY))).await;
    assert_eq!(told.words(), ["retried"; 3]);
    assert_eq!(given_up.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_failed_receive_hands_out_what_was_pushed_before_it_failed() {
    let mut fake = Fake::of(2);
    fake.receives_fail = 1;
    let mut source = Engine::new(Redeliver::new(fake));
    assert_eq!(
        source.receive(8).await.unwrap_err().to_string(),
        "out of reach"
    );
    assert_eq!(source.payloads(), [0], "one was pushed before");
    let _more = source.receive(8).await.unwrap();
    assert_eq!(source.payloads(), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_clone_that_panics_loses_no_message() {
    let breaks = Arc::new(AtomicBool::new(true));
    let items: Vec<_> = (0..3).map(|n| Fragile(n, breaks.clone())).collect();
    let mut source = Engine::new(Redeliver::new(IterSource::new(items)));
    let panic = AssertUnwindSafe(source.receive(8)).catch_unwind().await;
    assert!(panic.is_err());
    let _more = source.receive(8).await.unwrap();
    let numbers: Vec<_> = source.payloads().iter().map(|f| f.0).collect();
    assert_eq!(numbers, [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_never_due_does_not_overflow_the_clock() {
    let mut source = numbers(1);
    let mut acknowledger = source.source.acknowledger().unwrap();
    let _more = source.receive(8).await.unwrap();
    let taken = source.taken();
    settle(&mut acknowledger, all(taken, &retry(Duration::MAX))).await;
    assert!(source.cut_short(8).is_none());
}

#[tokio::test(start_paused = true)]
async fn the_promise_is_redelivery_in_this_process_or_what_the_wrapped_source_promises() {
    let plain = Redeliver::new(IterSource::new(0..1));
    assert_eq!(plain.redelivery(), Redelivery::InProcess);
    let durable = Redeliver::new(Fake::of(1));
    assert_eq!(durable.redelivery(), Redelivery::Durable);
}

#[tokio::test(start_paused = true)]
async fn settle_options_reach_the_wrapped_source() {
    let mut source = Engine::new(Redeliver::new(Fake::of(1)));
    let _more = source.receive(8).await.unwrap();
    let mut token = source.taken().remove(0).token;
    let known = SettleOptions::default().set("known", "yes");
    let unknown = SettleOptions::default().set("unknown", "yes");
    assert!(Redeliveries::<u32, FakeTold>::configure(&mut token, &known).is_ok());
    assert!(Redeliveries::<u32, FakeTold>::configure(&mut token, &unknown).is_err());
}

/// Panics when it is cloned for the first time.
struct Fragile(u32, Arc<AtomicBool>);

impl Clone for Fragile {
    fn clone(&self) -> Self {
        assert!(!self.1.swap(false, Relaxed), "fragile");
        Self(self.0, self.1.clone())
    }
}

/// Numbers from 0, settled by number; can fail on cue.
struct Fake {
    left: VecDeque<u32>,
    receives_fail: u32,
    settles_fail: u32,
    settle_takes: Duration,
    told: Words,
}

/// What [`Fake`] hands out at a drain.
const DRAINED: u32 = 99;

#[derive(Clone, Default)]
struct Words(Arc<Mutex<Vec<&'static str>>>);

struct FakeTold {
    fail: u32,
    takes: Duration,
    told: Words,
}

impl Words {
    fn words(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().clone()
    }

    fn count(&self) -> usize {
        self.words().len()
    }
}

impl Fake {
    fn of(count: u32) -> Self {
        Self {
            left: (0..count).collect(),
            receives_fail: 0,
            settles_fail: 0,
            settle_takes: Duration::ZERO,
            told: Words::default(),
        }
    }
}

impl Producer for Fake {
    type Payload = u32;
    type Acknowledger = FakeTold;

    async fn receive(&mut self, intake: &mut Intake<u32, u32>) -> Result<Received, BoxError> {
        while intake.room() > 0 {
            let Some(next) = self.left.pop_front() else {
                break;
            };
            intake.push(Delivery::new(next, next));
            if self.receives_fail > 0 {
                self.receives_fail -= 1;
                return Err("out of reach".into());
            }
        }
        if self.left.is_empty() {
            return Ok(Received::End);
        }
        Ok(Received::More)
    }

    async fn drain(&mut self, intake: &mut Intake<u32, u32>) -> Result<(), BoxError> {
        intake.push(Delivery::new(DRAINED, DRAINED));
        Ok(())
    }

    fn acknowledger(&mut self) -> Option<FakeTold> {
        Some(FakeTold {
            fail: self.settles_fail,
            takes: self.settle_takes,
            told: self.told.clone(),
        })
    }

    fn redelivery(&self) -> Redelivery {
        Redelivery::Durable
    }
}

impl Acknowledger for FakeTold {
    type Token = u32;

    async fn settle(&mut self, run: &mut Vec<(u32, Outcome)>) -> Result<Settled, BoxError> {
        if self.fail > 0 {
            self.fail -= 1;
            return Err("out of reach".into());
        }
        if !self.takes.is_zero() {
            tokio::time::sleep(self.takes).await;
        }
        let words = run.drain(..).map(|(_, outcome)| outcome.word());
        let before = self.told.count();
        self.told.0.lock().unwrap().extend(words);
        Ok(Settled::stale(self.told.count() - before))
    }

    fn configure(_token: &mut u32, options: &SettleOptions) -> Result<(), UnsupportedOption> {
        match options.get("known") {
            Some(_) => Ok(()),
            None => Err(UnsupportedOption::any(options)),
        }
    }
}
