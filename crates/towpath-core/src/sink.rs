//! What a sink is, and how it answers for each message of a batch.

use std::{collections::BTreeMap, time::Duration};

use crate::{Batch, BoxError, Failure, Peer, Reach, SinkPromise};

/// Where messages end: a table, a topic, a file.
///
/// ```
/// use towpath_core::{Batch, BoxError, Sink, Verdicts, Written};
///
/// struct Evens(Vec<u32>);
///
/// impl Sink<u32> for Evens {
///     async fn write(&mut self, batch: Batch<u32>) -> Result<Written, BoxError> {
///         let mut verdicts = Verdicts::done();
///         for (index, number) in batch.into_iter().enumerate() {
///             if number % 2 == 0 {
///                 self.0.push(number);
///             } else {
///                 verdicts = verdicts.reject(index, "odd");
///             }
///         }
///         Ok(verdicts.into())
///     }
/// }
/// ```
pub trait Sink<T>: Send + 'static {
    /// Gets ready. A local resource that is missing fails here, before anything runs.
    ///
    /// # Errors
    /// Fails the start of the pipeline.
    fn open(&mut self) -> impl Future<Output = Result<(), BoxError>> + Send {
        async { Ok(()) }
    }

    /// Writes a batch and answers for each of its messages.
    ///
    /// # Errors
    /// An error is the answer for the whole batch: a [`Failure`] as it says, any other
    /// error rejects every message.
    ///
    /// # Cancel safety
    /// Dropped when the deadline of a stop has passed; the messages are given back then.
    fn write(&mut self, batch: Batch<T>) -> impl Future<Output = Result<Written, BoxError>> + Send;

    /// Makes durable what was written. Called every [`flush_every`](Self::flush_every) and at the end.
    ///
    /// # Errors
    /// Gives back every message that was written since the last flush.
    fn flush(&mut self) -> impl Future<Output = Result<(), BoxError>> + Send {
        async { Ok(()) }
    }

    /// How often to flush, for a sink that is durable only after it: its messages are
    /// settled then, not before. `None` settles after each write.
    fn flush_every(&self) -> Option<Duration> {
        None
    }

    /// Whether the sink looks at where messages came from. `false` saves collecting it, and
    /// [`Batch::origin`] says `None` then.
    fn reads_origins(&self) -> bool {
        true
    }

    /// What is at the other side, as traces name it.
    fn peer(&self) -> Peer {
        Peer::default()
    }

    /// Where the sink says whether it can be reached; `None` for one that always can. Asked
    /// once, before `open`.
    ///
    /// A sink whose server is away says so here and waits in [`write`](Self::write): nothing
    /// more is taken from the source meanwhile.
    fn reach(&self) -> Option<Reach> {
        None
    }

    /// What happens when the same message comes twice.
    fn promise(&self) -> SinkPromise {
        SinkPromise::Plain
    }
}

/// The answer to a batch that was written.
#[derive(Debug, Default)]
#[non_exhaustive]
pub enum Written {
    /// Every message is done.
    #[default]
    All,
    /// Each message by its place.
    Each(Verdicts),
}

impl From<()> for Written {
    fn from((): ()) -> Self {
        Self::All
    }
}

impl From<Verdicts> for Written {
    fn from(verdicts: Verdicts) -> Self {
        match verdicts.0 {
            Answers::DoneBut(exceptions) if exceptions.is_empty() => Self::All,
            answers => Self::Each(Verdicts(answers)),
        }
    }
}

/// Answers for the messages of a batch by their place in it.
///
/// Start from [`Verdicts::done`] and name the exceptions, or bring a result for
/// each message with [`Verdicts::each`]: a result that is missing is a failure.
#[derive(Debug)]
pub struct Verdicts(Answers);

#[derive(Debug)]
enum Answers {
    DoneBut(BTreeMap<usize, Failure>),
    Each(Vec<Result<(), Failure>>),
}

/// A sink answered for fewer messages than it was given.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the sink gave no outcome for message {index} of the batch")]
struct MissingOutcome {
    index: usize,
}

impl Verdicts {
    /// Every message is done, but for the exceptions named after.
    #[must_use]
    pub fn done() -> Self {
        Self(Answers::DoneBut(BTreeMap::new()))
    }

    /// A result for each message, in the order of the batch.
    ///
    /// A message without a result is given back; a result without a message is ignored.
    pub fn each<E: Into<BoxError>>(results: impl IntoIterator<Item = Result<(), E>>) -> Self {
        let results = results.into_iter();
        Self(Answers::Each(
            results.map(|r| r.map_err(Failure::from_error)).collect(),
        ))
    }

    /// The message at `index` failed: a [`Failure`] as it says, any other error rejects it.
    #[must_use]
    pub fn fail(mut self, index: usize, error: impl Into<BoxError>) -> Self {
        let failure = Failure::from_error(error);
        match &mut self.0 {
            Answers::DoneBut(exceptions) => {
                exceptions.insert(index, failure);
            }
            Answers::Each(results) => {
                if let Some(result) = results.get_mut(index) {
                    *result = Err(failure);
                }
            }
        }
        self
    }

    /// The message at `index` will never succeed.
    #[must_use]
    pub fn reject(self, index: usize, error: impl Into<BoxError>) -> Self {
        self.fail(index, Failure::reject(error))
    }

    /// The message at `index` may succeed later.
    #[must_use]
    pub fn retry(self, index: usize, error: impl Into<BoxError>, after: Duration) -> Self {
        self.fail(index, Failure::retry(error).after(after))
    }

    /// Exactly one result for each of `size` messages.
    pub fn into_results(self, size: usize) -> impl Iterator<Item = Result<(), Failure>> {
        let mut answers = self.0;
        (0..size).map(move |index| match &mut answers {
            Answers::DoneBut(exceptions) => exceptions.remove(&index).map_or(Ok(()), Err),
            Answers::Each(results) => match results.get_mut(index) {
                Some(result) => std::mem::replace(result, Ok(())),
                None => Err(Failure::retry(MissingOutcome { index })),
            },
        })
    }
}
