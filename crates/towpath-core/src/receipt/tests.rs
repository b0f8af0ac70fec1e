//! Attempts and deadlines of a message, as its receipt tells them.

use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
};

use super::*;
use crate::{DeadLetter, Failure, FailureContext, FailureRoute, Outlet, StageStats, trace::Span};

const SECOND: Duration = Duration::from_secs(1);

/// Keeps the outcomes that would reach a source.
#[derive(Debug, Default)]
struct Told(Mutex<Vec<(u32, Outcome)>>);

impl Told {
    /// What was given back: index and attempts.
    fn given_back(&self) -> Vec<(u32, u32)> {
        let told = self.0.lock().unwrap();
        let retries = told.iter().filter_map(|(index, outcome)| match outcome {
            Outcome::Retry { attempts, .. } => Some((*index, *attempts)),
            _ => None,
        });
        retries.collect()
    }
}

impl SettlePort for Told {
    fn settle(&self, _: u32, index: u32, outcome: Outcome, _: Option<Arc<dyn Span>>) {
        self.0.lock().unwrap().push((index, outcome));
    }

    fn settle_done(&self, chunk: u32, indices: &[u32]) {
        for index in indices {
            self.settle(chunk, *index, Outcome::Done, None);
        }
    }

    fn configure(
        &self,
        _chunk: u32,
        _index: u32,
        options: &SettleOptions,
    ) -> Result<(), UnsupportedOption> {
        Err(UnsupportedOption::any(options))
    }
}

fn ledger() -> Arc<Ledger> {
    Arc::new(Ledger::new(|| Duration::ZERO))
}

/// Receipts of messages whose source has delivered each as often as said.
fn delivered<const N: usize>(attempts: [u32; N]) -> ([Receipt; N], Arc<Told>) {
    let told = Arc::<Told>::default();
    let origins = attempts.map(|attempt| Origin::default().attempt(attempt));
    let mut receipts = Delivered::new(ledger())
        .with_origins(origins.to_vec())
        .settled_by(told.clone(), 0)
        .into_receipts(u32::try_from(N).unwrap());
    (attempts.map(|_| receipts.next().unwrap()), told)
}

/// A receipt on a clock that is set by hand.
fn timed(deadline: Option<Duration>) -> (Receipt, Arc<AtomicU64>) {
    let clock = Arc::<AtomicU64>::default();
    let hand = clock.clone();
    let ledger = Ledger::new(move || Duration::from_secs(hand.load(SeqCst)));
    let ledger = Arc::new(ledger.with_deadline(deadline));
    let receipt = Delivered::new(ledger).into_receipts(1).next().unwrap();
    (receipt, clock)
}

#[test]
fn attempts_made_in_place_are_added_to_those_the_source_knows_of() {
    let ([mut first, mut third], _told) = delivered([0, 3]);
    assert_eq!((first.attempts(), third.attempts()), (1, 3));
    assert_eq!(first.origin().attempt, 0, "the source knows of none");
    first.add_attempts(2);
    third.add_attempts(1);
    third.add_attempts(1);
    assert_eq!((first.attempts(), third.attempts()), (3, 5));
    assert_eq!((first.origin().attempt, third.origin().attempt), (3, 5));
}

#[test]
fn only_the_source_says_that_a_message_was_delivered_before() {
    let ([mut unknown, mut first, second], _) = delivered([0, 1, 2]);
    unknown.add_attempts(3);
    first.add_attempts(3);
    let again = [&unknown, &first, &second].map(Receipt::is_redelivered);
    assert_eq!(again, [false, false, true]);
    assert!(!Receipt::detached().is_redelivered());
    let split = second.split();
    let (part, own) = (split.part(), first.split());
    assert!(part.is_redelivered() && !own.part().is_redelivered());
}

#[test]
fn a_message_of_a_source_that_knows_nothing_still_counts_its_attempts() {
    let mut receipt = Delivered::new(ledger()).into_receipts(1).next().unwrap();
    assert!(!receipt.has_origin());
    receipt.add_attempts(4);
    assert!(receipt.has_origin());
    assert_eq!((receipt.attempts(), receipt.origin().attempt), (5, 5));
    let mut detached = Receipt::detached();
    detached.add_attempts(1);
    assert_eq!(detached.attempts(), 2);
}

#[test]
fn more_attempts_than_are_counted_change_nothing_else() {
    let ([mut receipt], told) = delivered([1]);
    receipt.mark_flush();
    receipt.add_attempts(65_534);
    receipt.add_attempts(u32::MAX);
    assert_eq!(receipt.attempts(), 65_536);
    assert!(receipt.is_flush() && !receipt.is_settled());
    drop(receipt);
    assert_eq!(told.given_back(), [(0, 65_536)]);
}

#[test]
fn a_message_that_is_given_back_tells_its_source_how_many_attempts_it_had() {
    let ([once, mut thrice, mut dropped, mut lies], told) = delivered([7, 7, 7, 7]);
    once.settle(Outcome::retry());
    thrice.add_attempts(2);
    thrice.settle(Outcome::retry_after(SECOND));
    dropped.add_attempts(1);
    drop(dropped);
    lies.add_attempts(3);
    lies.settle(Outcome::Retry {
        after: SECOND,
        attempts: 99,
        trace: None,
    });
    assert_eq!(told.given_back(), [(0, 1), (1, 3), (2, 2), (3, 4)]);
}

#[test]
fn the_parts_of_a_message_count_for_themselves_and_the_whole_has_the_most_of_any() {
    let ([mut whole], told) = delivered([2]);
    whole.add_attempts(1);
    let split = whole.split();
    let (mut done, mut retried, untried) = (split.part(), split.part(), split.part());
    drop(split);
    done.add_attempts(4);
    retried.add_attempts(2);
    let attempts = [&done, &retried, &untried].map(Receipt::attempts);
    assert_eq!(attempts, [7, 5, 3]);
    assert_eq!(done.origin().attempt, 7);
    let mut settler = Settler::default();
    settler.push(done);
    settler.flush();
    retried.settle(Outcome::retry());
    untried.settle(Outcome::Done);
    // The delivery, one attempt before the split, and four of a part.
    assert_eq!(told.given_back(), [(0, 6)]);
}

#[test]
fn what_is_split_again_adds_up_along_each_branch() {
    let ([whole], told) = delivered([0]);
    let outer = whole.split();
    let mut part = outer.part();
    drop(outer);
    part.add_attempts(1);
    let inner = part.split();
    let mut leaf = inner.part();
    drop(inner);
    leaf.add_attempts(1);
    assert_eq!(leaf.attempts(), 3);
    drop(leaf);
    assert_eq!(told.given_back(), [(0, 3)]);
}

#[test]
fn hooks_and_dead_letters_see_all_attempts() {
    let ([mut receipt], _told) = delivered([2]);
    receipt.add_attempts(3);
    let seen = Arc::<Seen>::default();
    let hooked = seen.clone();
    let context = FailureContext {
        pipeline: "pipeline".into(),
        ledger: ledger(),
        observer: Arc::new(|_: &crate::Event| {}),
        tracer: None,
        timing: crate::Timing::Off,
        max_attempts: None,
    };
    let mut route = FailureRoute::new("stage".into(), context, Arc::<StageStats>::default())
        .to_letters(Some(Box::new(Letters(seen.clone()))))
        .hooked(Some(Arc::new(move |outcome, origin| {
            hooked.note(origin);
            outcome
        })));
    route.fail(receipt, Failure::reject("broken"));
    let cleared = route.poll_clear(&mut Context::from_waker(Waker::noop()));
    assert!(cleared.is_ready());
    assert_eq!(*seen.0.lock().unwrap(), [5, 5], "the hook, and the letter");
}

/// The attempts that somebody was told of.
#[derive(Debug, Default)]
struct Seen(Mutex<Vec<u32>>);

impl Seen {
    fn note(&self, origin: &Origin) {
        self.0.lock().unwrap().push(origin.attempt);
    }
}

struct Letters(Arc<Seen>);

impl Outlet<Message<DeadLetter>> for Letters {
    fn poll_room(&mut self, _cx: &mut Context<'_>) -> Poll<usize> {
        Poll::Ready(64)
    }

    fn accept(&mut self, items: &mut VecDeque<Message<DeadLetter>>) {
        for letter in items.drain(..) {
            self.0.note(&letter.payload().origin);
        }
    }

    fn flush(&mut self) {}
}

#[test]
fn the_time_of_a_message_runs_from_its_receipt_and_never_below_zero() {
    let (receipt, clock) = timed(Some(5 * SECOND));
    assert_eq!(receipt.time_left(), Some(5 * SECOND));
    clock.store(3, SeqCst);
    assert_eq!(receipt.time_left(), Some(2 * SECOND));
    let split = receipt.split();
    let part = split.part();
    assert_eq!(part.time_left(), Some(2 * SECOND), "a part has no more");
    clock.store(60, SeqCst);
    assert_eq!(part.time_left(), Some(Duration::ZERO));
}

#[test]
fn without_a_deadline_or_a_delivery_time_is_not_limited() {
    let (receipt, clock) = timed(None);
    clock.store(1_000_000, SeqCst);
    assert_eq!(receipt.time_left(), None);
    assert_eq!(Receipt::detached().time_left(), None);
}

#[test]
fn a_part_has_an_identity_of_its_own_and_a_copy_that_of_the_whole() {
    let identities = |split: &Split| {
        let parts = [split.part(), split.part()];
        parts.map(|part| part.origin().identity.map(|identity| identity.to_string()))
    };
    let named = || {
        let origin = Origin::default().identified("order-7");
        let delivered = Delivered::new(ledger()).with_origins(vec![origin]);
        delivered.into_receipts(1).next().unwrap()
    };
    let some = |text: &str| Some(text.to_owned());
    let split = named().split();
    assert_eq!(identities(&split), [some("order-7#0"), some("order-7#1")]);
    let inner = split.part().split();
    assert_eq!(
        identities(&inner),
        [some("order-7#2#0"), some("order-7#2#1")]
    );
    assert_eq!(
        identities(&named().share()),
        [some("order-7"), some("order-7")]
    );
    let nameless = Delivered::new(ledger()).into_receipts(1).next().unwrap();
    assert_eq!(identities(&nameless.split()), [None, None]);
}
