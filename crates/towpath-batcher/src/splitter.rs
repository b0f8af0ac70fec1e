//! A user's own accumulator: closes a batch by what is in it.

/// What a [`Splitter`] says about a message and the batch it is about to join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Close {
    /// The message joins the batch, which stays open.
    No,
    /// What is open closes, and the message starts the next batch.
    Before,
    /// The message joins the batch, which then closes.
    After,
}

/// Closes batches by a state that it keeps over the messages of each.
///
/// After [`Close::Before`] the state starts anew and the message is observed
/// again, as the first of its batch: [`Close::After`] then closes it alone, and
/// a second [`Close::Before`] means [`Close::No`], as nothing is before it.
pub trait Splitter<T> {
    /// What is remembered about one open batch.
    type State;

    /// Returns the state of a batch that holds nothing yet.
    fn start(&self) -> Self::State;

    /// Takes note of `item` and says whether the batch closes.
    ///
    /// Not asked about a message that is too heavy to join: that message is
    /// only observed in the batch it starts.
    fn observe(&self, state: &mut Self::State, item: &T) -> Close;

    /// Whether it may ever close a batch; one that says no need not observe.
    fn splits(&self) -> bool {
        true
    }
}

/// Never closes a batch.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSplit;

impl<T> Splitter<T> for NoSplit {
    type State = ();

    fn start(&self) {}

    fn observe(&self, (): &mut (), _: &T) -> Close {
        Close::No
    }

    fn splits(&self) -> bool {
        false
    }
}

/// A [`Splitter`] made of a first state and a closure, see [`split_fn`].
#[derive(Clone, Copy, Debug)]
pub struct SplitFn<State, F> {
    start: State,
    observe: F,
}

/// Makes a [`Splitter`] of the state that each batch starts with and a closure
/// that observes a message.
///
/// ```
/// use towpath_batcher::{Close, split_fn};
///
/// // A change of day starts the next batch.
/// let by_day = split_fn(None, |day: &mut Option<u32>, item: &(u32, &str)| {
///     let same = day.replace(item.0).is_none_or(|day| day == item.0);
///     if same { Close::No } else { Close::Before }
/// });
/// # towpath_batcher::OpenBatches::<(), _, _>::new(towpath_batcher::Rules::default(), by_day);
/// ```
pub fn split_fn<State, T, F>(start: State, observe: F) -> SplitFn<State, F>
where
    State: Clone,
    F: Fn(&mut State, &T) -> Close,
{
    SplitFn { start, observe }
}

impl<State, T, F> Splitter<T> for SplitFn<State, F>
where
    State: Clone,
    F: Fn(&mut State, &T) -> Close,
{
    type State = State;

    fn start(&self) -> State {
        self.start.clone()
    }

    fn observe(&self, state: &mut State, item: &T) -> Close {
        (self.observe)(state, item)
    }
}
