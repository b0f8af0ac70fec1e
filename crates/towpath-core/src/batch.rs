//! What a batcher hands to a sink.

use std::{any::Any, fmt, sync::Arc, time::Duration};

use crate::{Headers, Origin, StageName, trace::Span};

/// Why a batch was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Trigger {
    /// It holds as many messages as it may.
    Count,
    /// The next message would have made it too heavy, or it is heavy enough by itself.
    Weight,
    /// Its first message has waited long enough.
    Age,
    /// A message carried the flush mark.
    Flush,
    /// The user's own rule.
    Custom,
    /// Too many keys were open, and this one was touched least recently.
    Evicted,
    /// The pipeline drains.
    Drain,
    /// No batcher: the sink takes what comes.
    Chunk,
}

impl Trigger {
    /// The trigger in a word, as data and figures have it: `count`, `age`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Weight => "weight",
            Self::Age => "age",
            Self::Flush => "flush",
            Self::Custom => "custom",
            Self::Evicted => "evicted",
            Self::Drain => "drain",
            Self::Chunk => "chunk",
        }
    }
}

/// The key of a batch, as the user's key function gave it.
#[derive(Clone)]
pub struct BatchKey(Arc<dyn KeyValue>);

trait KeyValue: Any + fmt::Debug + Send + Sync {}
impl<K: Any + fmt::Debug + Send + Sync> KeyValue for K {}

/// What is known of a batch.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BatchInfo {
    /// The stage that made the batch.
    pub batcher: StageName,
    /// The key of all its messages; `None` without a key function.
    pub key: Option<BatchKey>,
    /// How old it was when it was closed.
    pub age: Duration,
    /// How many messages it holds.
    pub size: usize,
    /// What they weigh together, in bytes or whatever the weight function counts.
    pub weight: u64,
    /// Why it was closed.
    pub trigger: Trigger,
    /// When it was opened, since the pipeline began; only where messages are traced.
    pub(crate) opened_at: Option<Duration>,
}

/// Messages that go to a sink together.
///
/// Their receipts stay with the engine: a sink answers for each by its place in
/// the batch, so that none can be forgotten or settled twice.
#[derive(Debug)]
pub struct Batch<T> {
    items: Vec<T>,
    origins: Vec<Origin>,
    traces: Vec<(usize, Arc<dyn Span>)>,
    info: BatchInfo,
}

impl BatchKey {
    /// Keeps a key.
    pub fn new<K: fmt::Debug + Send + Sync + 'static>(key: K) -> Self {
        Self(Arc::new(key))
    }

    /// The key, if it is of type `K`.
    pub fn downcast_ref<K: 'static>(&self) -> Option<&K> {
        let any: &dyn Any = &*self.0;
        any.downcast_ref()
    }
}

impl fmt::Debug for BatchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl BatchInfo {
    /// Describes a batch.
    pub fn new(batcher: StageName, size: usize, trigger: Trigger) -> Self {
        Self {
            batcher,
            key: None,
            age: Duration::ZERO,
            size,
            weight: 0,
            trigger,
            opened_at: None,
        }
    }

    /// With its key.
    #[must_use]
    pub fn with_key(mut self, key: Option<BatchKey>) -> Self {
        self.key = key;
        self
    }

    /// With its weight.
    #[must_use]
    pub fn with_weight(mut self, weight: u64) -> Self {
        self.weight = weight;
        self
    }

    /// With how old it was when it was closed.
    #[must_use]
    pub fn with_age(mut self, age: Duration) -> Self {
        self.age = age;
        self
    }

    /// With when it was opened, since the pipeline began: for traces.
    #[must_use]
    pub fn with_opened_at(mut self, opened_at: Duration) -> Self {
        self.opened_at = Some(opened_at);
        self
    }
}

impl<T> Batch<T> {
    /// Messages, their origins (or none at all) and what is known of them together.
    pub fn new(items: Vec<T>, origins: Vec<Origin>, info: BatchInfo) -> Self {
        Self {
            items,
            origins,
            traces: Vec::new(),
            info,
        }
    }

    /// What is known of the batch.
    pub fn info(&self) -> &BatchInfo {
        &self.info
    }

    /// The payloads, in order.
    pub fn items(&self) -> &[T] {
        &self.items
    }

    /// The payloads, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.items.iter()
    }

    /// How many messages the batch holds; never zero.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether the batch holds nothing.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Where the message at `index` came from, if its source says.
    pub fn origin(&self, index: usize) -> Option<&Origin> {
        self.origins.get(index)
    }

    /// With the spans of those that are traced, by their place.
    #[must_use]
    pub fn with_traces(mut self, traces: Vec<(usize, Arc<dyn Span>)>) -> Self {
        self.traces = traces;
        self
    }

    /// What to send along with an item, so that its receiver goes on with its trace; `None`
    /// where its message is not traced.
    pub fn trace(&self, index: usize) -> Option<Headers> {
        let found = self
            .traces
            .binary_search_by_key(&index, |(place, _)| *place);
        found.ok().map(|traced| self.traces[traced].1.headers())
    }

    /// The same batch with other payloads: places, origins and traces stay.
    #[must_use]
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Batch<U> {
        Batch {
            items: self.items.into_iter().map(f).collect(),
            origins: self.origins,
            traces: self.traces,
            info: self.info,
        }
    }

    /// Takes the payloads out.
    #[must_use]
    pub fn into_items(self) -> Vec<T> {
        self.items
    }
}

impl<T> IntoIterator for Batch<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Batch<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.iter()
    }
}
