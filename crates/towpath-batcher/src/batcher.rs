//! The builder of a batcher, and the stage it makes.

use std::{fmt, num::NonZeroUsize, sync::Arc, time::Duration};

use towpath_core::{
    Bundle, Bundler, FailureRoute, Inlet, Message, Outlet, StageInfo, StageName, StageStats, Work,
};

use crate::{
    Close, KeyFn, KeyOf, NoSplit, Rules, Size, SplitFn, Splitter, Unkeyed, Unweighed, WeightFn,
    WeightOf, split_fn, work::BatchWork,
};

/// A stage that collects messages into batches.
///
/// A batch closes on count (100), on weight or bytes, on age (1 s from its first
/// message, never reset), on a flush mark, or by a rule of your own: whatever comes
/// first. A message that would make a batch too heavy starts the next; one that is
/// too heavy by itself goes alone.
///
/// ```
/// use std::time::Duration;
/// use towpath_batcher::Batcher;
///
/// let store = Batcher::new("store")
///     .max_messages(500)
///     .max_weight(4 << 20, |row: &(u32, String)| row.1.len() as u64)
///     .max_wait(Duration::from_millis(200))
///     .key(|row: &(u32, String)| row.0 % 16);
/// # let _ = store;
/// ```
#[derive(Clone)]
pub struct Batcher<K = Unkeyed, W = Unweighed, S = NoSplit> {
    name: StageName,
    rules: Rules,
    key: Arc<K>,
    weight: Arc<W>,
    splitter: Arc<S>,
    problems: Vec<&'static str>,
}

impl Batcher {
    /// A batcher of 100 messages or one second, whatever comes first.
    pub fn new(name: impl Into<StageName>) -> Self {
        Self {
            name: name.into(),
            rules: Rules::default(),
            key: Arc::new(Unkeyed),
            weight: Arc::new(Unweighed),
            splitter: Arc::new(NoSplit),
            problems: Vec::new(),
        }
    }
}

impl<K, W, S> Batcher<K, W, S> {
    /// Closes a batch when it holds `count` messages.
    #[must_use]
    pub fn max_messages(mut self, count: usize) -> Self {
        match NonZeroUsize::new(count) {
            Some(count) => self.rules.max_messages = count,
            None => self.problems.push("max_messages must be at least 1"),
        }
        self
    }

    /// Closes a batch when its first message has waited so long.
    #[must_use]
    pub fn max_wait(mut self, wait: Duration) -> Self {
        self.rules.max_wait = wait;
        self
    }

    /// Closes a batch before the message that would take it over `bytes`.
    #[must_use]
    pub fn max_bytes(self, bytes: u64) -> Batcher<K, Size, S> {
        self.weighed(bytes, Size)
    }

    /// Closes a batch before the message that would take it over `weight`.
    #[must_use]
    pub fn max_weight<T, F>(self, weight: u64, of: F) -> Batcher<K, WeightFn<F>, S>
    where
        F: Fn(&T) -> u64,
    {
        self.weighed(weight, WeightFn(of))
    }

    /// Closes a batch by a state that it keeps over its messages, anew for each batch.
    #[must_use]
    pub fn close_when<T, A, F>(self, start: A, observe: F) -> Batcher<K, W, SplitFn<A, F>>
    where
        A: Clone,
        F: Fn(&mut A, &T) -> Close,
    {
        Batcher {
            splitter: Arc::new(split_fn(start, observe)),
            name: self.name,
            rules: self.rules,
            key: self.key,
            weight: self.weight,
            problems: self.problems,
        }
    }

    /// Keeps a batch for each key.
    #[must_use]
    pub fn key<T, Q, F>(self, key: F) -> Batcher<KeyFn<F>, W, S>
    where
        F: Fn(&T) -> Q,
    {
        Batcher {
            key: Arc::new(KeyFn(key)),
            name: self.name,
            rules: self.rules,
            weight: self.weight,
            splitter: self.splitter,
            problems: self.problems,
        }
    }

    /// Keeps batches of at most `keys` keys open (1024): one more closes the batch that
    /// was touched least recently.
    #[must_use]
    pub fn max_open_keys(mut self, keys: usize) -> Self {
        match NonZeroUsize::new(keys) {
            Some(keys) => self.rules.max_open_keys = keys,
            None => self.problems.push("max_open_keys must be at least 1"),
        }
        self
    }

    fn weighed<V>(mut self, limit: u64, weight: V) -> Batcher<K, V, S> {
        self.rules.max_weight = Some(limit);
        Batcher {
            weight: Arc::new(weight),
            name: self.name,
            rules: self.rules,
            key: self.key,
            splitter: self.splitter,
            problems: self.problems,
        }
    }
}

impl<T, K, W, S> Bundler<T> for Batcher<K, W, S>
where
    T: Send + 'static,
    K: KeyOf<T>,
    W: WeightOf<T>,
    S: Splitter<T> + Send + Sync + 'static,
    S::State: Send,
{
    fn info(&self) -> StageInfo {
        let rules = &self.rules;
        let keys = if self.key.is_keyed() {
            rules.max_open_keys.get()
        } else {
            1
        };
        let mut info = StageInfo::new(self.name.clone(), "batcher")
            .note(format!("{} messages", rules.max_messages))
            .note(format!("{:?}", rules.max_wait))
            .holding(rules.max_messages.get().saturating_mul(keys));
        if let Some(weight) = rules.max_weight {
            info = info.note(format!("weight {weight}"));
        }
        if self.key.is_keyed() {
            info = info.note(format!("by key, {keys} open"));
        }
        let problems = self.problems.iter();
        problems.fold(info, |info, problem| info.problem(*problem))
    }

    fn bundle_size(&self) -> usize {
        self.rules.max_messages.get()
    }

    fn work(
        &self,
        inlet: Box<dyn Inlet<Message<T>>>,
        outlet: Box<dyn Outlet<Bundle<T>>>,
        failures: FailureRoute,
        stats: Arc<StageStats>,
    ) -> Work {
        let work = BatchWork::new(
            self.name.clone(),
            self.rules.clone(),
            self.key.clone(),
            self.weight.clone(),
            self.splitter.clone(),
        );
        Box::pin(work.run(inlet, outlet, failures, stats))
    }
}

impl<K, W, S> fmt::Debug for Batcher<K, W, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batcher")
            .field("name", &self.name)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}
