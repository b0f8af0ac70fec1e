//! The outcomes that a test source was told.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use tokio::sync::Notify;
use towpath::{Outcome, SettleOptions};

use crate::hold::{lock, wait_until};

/// The outcomes that a test source was told, in the order it was told them.
#[derive(Clone, Debug)]
pub struct Outcomes(Arc<Log>);

#[derive(Debug, Default)]
struct Log {
    told: Mutex<Vec<Told>>,
    demands: Mutex<Vec<usize>>,
    options: Mutex<Vec<(u64, SettleOptions)>>,
    settle_calls: AtomicUsize,
    changed: Notify,
}

#[derive(Debug)]
struct Told {
    index: u64,
    attempt: u32,
    outcome: Outcome,
}

impl Outcomes {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    /// The outcomes of one item: one for each time it was delivered.
    pub fn of(&self, index: u64) -> Vec<Outcome> {
        let told = lock(&self.0.told);
        let of = told.iter().filter(|t| t.index == index);
        of.map(|t| t.outcome.clone()).collect()
    }

    /// The one outcome of an item.
    ///
    /// # Panics
    /// Panics when it has none, or several.
    #[track_caller]
    pub fn only(&self, index: u64) -> Outcome {
        let mut of = self.of(index);
        assert_eq!(of.len(), 1, "item {index} has not one outcome: {of:?}");
        of.remove(0)
    }

    /// Index and outcome of each delivery, in settle order.
    pub fn words(&self) -> Vec<(u64, &'static str)> {
        let told = lock(&self.0.told);
        told.iter().map(|t| (t.index, t.outcome.word())).collect()
    }

    /// Index and attempt of each delivery, in settle order.
    pub fn attempts(&self) -> Vec<(u64, u32)> {
        let told = lock(&self.0.told);
        told.iter().map(|t| (t.index, t.attempt)).collect()
    }

    /// How many outcomes are `done`, `retried`, `rejected` or `dropped`.
    pub fn count(&self, word: &str) -> usize {
        let told = lock(&self.0.told);
        told.iter().filter(|t| t.outcome.word() == word).count()
    }

    /// How many outcomes there are.
    pub fn total(&self) -> usize {
        lock(&self.0.told).len()
    }

    /// How much was asked for, at each receive.
    pub fn demands(&self) -> Vec<usize> {
        lock(&self.0.demands).clone()
    }

    /// The settle options that were set on an item, in order.
    pub fn options_of(&self, index: u64) -> Vec<SettleOptions> {
        let options = lock(&self.0.options);
        let of = options.iter().filter(|(i, _)| *i == index);
        of.map(|(_, options)| options.clone()).collect()
    }

    /// How often the acknowledger was called, the calls that failed included.
    pub fn settle_calls(&self) -> usize {
        self.0.settle_calls.load(SeqCst)
    }

    /// Waits until there are `n` outcomes.
    pub async fn wait_for(&self, n: usize) {
        wait_until(&self.0.changed, || self.total() >= n).await;
    }

    /// Waits until the source was asked `n` times.
    pub async fn wait_for_demands(&self, n: usize) {
        wait_until(&self.0.changed, || lock(&self.0.demands).len() >= n).await;
    }

    pub(crate) fn tell(&self, index: u64, attempt: u32, outcome: Outcome) {
        lock(&self.0.told).push(Told {
            index,
            attempt,
            outcome,
        });
        self.0.changed.notify_waiters();
    }

    pub(crate) fn asked(&self, room: usize) {
        lock(&self.0.demands).push(room);
        self.0.changed.notify_waiters();
    }

    pub(crate) fn configured(&self, index: u64, options: &SettleOptions) {
        lock(&self.0.options).push((index, options.clone()));
    }

    /// Counts a call of the acknowledger; tells how many there were before.
    pub(crate) fn settle_called(&self) -> usize {
        self.0.settle_calls.fetch_add(1, SeqCst)
    }
}
