//! A source for tests: hands out what it is told to, and remembers every outcome.

mod acknowledger;
mod producer;
mod returns;

use std::{fmt, sync::Arc};

use towpath::{Source, StageName, core::Redelivery};

pub use acknowledger::{TestAcknowledger, TestToken};
pub use producer::TestProducer;

use crate::Outcomes;
use acknowledger::SettleCue;
use producer::ReceiveCue;
use returns::{Again, Returns};

/// Builds a source for tests.
///
/// Item `n` has the position `n` and the identity `test-n`; its first delivery is attempt 1.
///
/// ```
/// use towpath_test::TestSource;
///
/// let (source, outcomes) = TestSource::new(0..100).named("numbers").chunk(7).build();
/// assert_eq!(outcomes.total(), 0);
/// # let _ = source;
/// ```
#[must_use = "a builder does nothing until built"]
pub struct TestSource<P: Send + 'static> {
    name: StageName,
    items: Box<dyn Iterator<Item = P> + Send>,
    receive: ReceiveCue,
    settle: SettleCue,
    options: Vec<String>,
    again: Option<Again<P>>,
    redelivery: Option<Redelivery>,
    keep: Option<Keep<P>>,
}

type Keep<P> = fn(Source<TestProducer<P>>) -> Source<TestProducer<P>>;

impl<P: Send + 'static> TestSource<P> {
    /// A source of these items, and the outcomes it is told.
    pub fn of<I>(items: I) -> (Source<TestProducer<P>>, Outcomes)
    where
        I: IntoIterator<Item = P, IntoIter: Send + 'static>,
    {
        Self::new(items).build()
    }

    /// Builds a source of these items.
    pub fn new<I>(items: I) -> Self
    where
        I: IntoIterator<Item = P, IntoIter: Send + 'static>,
    {
        Self {
            name: "source".into(),
            items: Box::new(items.into_iter()),
            receive: ReceiveCue::default(),
            settle: SettleCue::default(),
            options: Vec::new(),
            again: None,
            redelivery: None,
            keep: None,
        }
    }

    /// With a name of its own: `source` without it.
    pub fn named(mut self, name: impl Into<StageName>) -> Self {
        self.name = name.into();
        self
    }

    /// Hands out at most `n` items at once.
    pub fn chunk(mut self, n: usize) -> Self {
        self.receive.chunk = n.max(1);
        self
    }

    /// Fails once before item `n`; what came before it in the same call counts.
    pub fn fail_receive_at(mut self, n: u64) -> Self {
        self.receive.fail_at = Some(n);
        self
    }

    /// Fails once before item `n` with an error that is permanent.
    pub fn fail_for_good_at(mut self, n: u64) -> Self {
        self.receive.end_at = Some(n);
        self
    }

    /// Panics once before item `n`; what came before it in the same call counts.
    pub fn panic_receive_at(mut self, n: u64) -> Self {
        self.receive.panic_at = Some(n);
        self
    }

    /// Hands out nothing from item `n` on, and does not end either.
    pub fn hang_at(mut self, n: u64) -> Self {
        self.receive.hang_at = Some(n);
        self
    }

    /// Does not end behind the last item: waits to be stopped.
    pub fn endless(mut self) -> Self {
        self.receive.endless = true;
        self
    }

    /// Is not ready when the pipeline starts.
    pub fn open_fails(mut self) -> Self {
        self.receive.open_fails = true;
        self
    }

    /// Fails the first `times` calls that tell it outcomes.
    pub fn settle_fails(mut self, times: usize) -> Self {
        self.settle.fails = times;
        self
    }

    /// Panics in the first `times` calls that tell it outcomes.
    pub fn settle_panics(mut self, times: usize) -> Self {
        self.settle.panics = times;
        self
    }

    /// Never returns from a call that tells it outcomes.
    pub fn settle_hangs(mut self) -> Self {
        self.settle.hangs = true;
        self
    }

    /// Awaits `first` in each call that tells it outcomes, before it notes them: a source
    /// whose acknowledgements go through a pool or a lock.
    pub fn settle_after<F>(mut self, first: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.settle.first = Some(Arc::new(move || Box::pin(first())));
        self
    }

    /// Accepts a settle option; all that are not named are refused.
    pub fn knows_option(mut self, name: impl Into<String>) -> Self {
        self.options.push(name.into());
        self
    }

    /// Delivers an item that is retried again, no sooner than it should, up to
    /// `max_attempts` deliveries; ends when no item can come again.
    pub fn redelivering(mut self, max_attempts: u32) -> Self
    where
        P: Clone,
    {
        self.again = Some(Again {
            max_attempts,
            copy: P::clone,
        });
        self
    }

    /// Claims that what is given back comes again, or does not.
    pub fn claims(mut self, redelivery: Redelivery) -> Self {
        self.redelivery = Some(redelivery);
        self
    }

    /// Keeps the payload of each item for its dead letter.
    pub fn keep_original(mut self) -> Self
    where
        P: Clone + serde::Serialize + Sync,
    {
        self.keep = Some(Source::keep_original);
        self
    }

    /// The source, and the outcomes it is told.
    pub fn build(self) -> (Source<TestProducer<P>>, Outcomes) {
        let outcomes = Outcomes::new();
        let returns = Arc::new(Returns::new(self.again));
        let redelivery = self.redelivery.unwrap_or(if returns.comes_again() {
            Redelivery::InProcess
        } else {
            Redelivery::Never
        });
        let acknowledger = TestAcknowledger::new(self.settle, outcomes.clone(), returns.clone());
        let producer = TestProducer::new(
            self.items,
            self.receive,
            self.options.into(),
            acknowledger,
            redelivery,
        );
        let source = Source::new(self.name, producer);
        let keep = self.keep.unwrap_or(|source| source);
        (keep(source), outcomes)
    }
}

impl<P: Send + 'static> fmt::Debug for TestSource<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestSource")
            .field("name", &self.name)
            .field("receive", &self.receive)
            .field("settle", &self.settle)
            .finish_non_exhaustive()
    }
}
