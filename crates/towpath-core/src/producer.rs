//! What a source is: something to receive from, and somebody to tell the outcomes.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt, mem,
    time::Duration,
    vec::Drain,
};

use crate::{
    BoxError, Delivered, Lag, Message, Origin, Outcome, Peer, Reach, Receipt, Redelivery,
    Settlement,
};

/// A source of messages.
///
/// ```
/// use towpath_core::{BoxError, Delivery, Intake, Producer, Received, Unacknowledged};
///
/// struct Countdown(u32);
///
/// impl Producer for Countdown {
///     type Payload = u32;
///     type Acknowledger = Unacknowledged;
///
///     async fn receive(&mut self, intake: &mut Intake<u32, ()>) -> Result<Received, BoxError> {
///         while intake.room() > 0 && self.0 > 0 {
///             self.0 -= 1;
///             intake.push(Delivery::new(self.0, ()));
///         }
///         Ok(if self.0 == 0 { Received::End } else { Received::More })
///     }
/// }
/// ```
pub trait Producer: Send + 'static {
    /// What the messages hold.
    type Payload: Send + 'static;
    /// Who is told the outcomes.
    type Acknowledger: Acknowledger;

    /// Gets ready. A local resource that is missing fails here, before anything runs.
    ///
    /// A remote one that does not answer should not: [`receive`](Self::receive) fails
    /// then, and is tried again with backoff.
    ///
    /// # Errors
    /// Fails the start of the pipeline.
    fn open(&mut self) -> impl Future<Output = Result<(), BoxError>> + Send {
        async { Ok(()) }
    }

    /// Waits for messages and pushes between one and `intake.room()` of them.
    ///
    /// Returns as soon as it has some, however few: it never waits to fill up. With none it
    /// returns only to say that all is well: after an error, when the server is there again
    /// and nothing waits; [`reach`](Self::reach) is another way to say it.
    ///
    /// # Errors
    /// Fails when the source is out of reach; it is called again after a backoff, and
    /// should connect again then. What was pushed before counts.
    ///
    /// # Cancel safety
    /// Must be cancel safe: what was pushed is kept, what was not must come again.
    fn receive(
        &mut self,
        intake: &mut Intake<Self::Payload, Token<Self>>,
    ) -> impl Future<Output = Result<Received, BoxError>> + Send;

    /// Asked once when a drain begins: pushes what must still go through.
    ///
    /// # Errors
    /// An error is reported; the drain goes on.
    fn drain(
        &mut self,
        _intake: &mut Intake<Self::Payload, Token<Self>>,
    ) -> impl Future<Output = Result<(), BoxError>> + Send {
        async { Ok(()) }
    }

    /// Who is told the outcomes; `None` when nobody wants them. Asked once, after `open`.
    fn acknowledger(&mut self) -> Option<Self::Acknowledger> {
        None
    }

    /// Whether what is given back comes again.
    fn redelivery(&self) -> Redelivery {
        Redelivery::Never
    }

    /// What is at the other side, as traces name it. Asked once, before `open`.
    fn peer(&self) -> Peer {
        Peer::default()
    }

    /// Where the source says that it can be reached again; `None` for one that says it by
    /// what it receives. Asked once, before `open`.
    ///
    /// The engine notes there how each call of [`receive`](Self::receive) ends. A source that
    /// waits for messages when its server is back has something to add: that it waits.
    fn reach(&self) -> Option<Reach> {
        None
    }

    /// Where the source says how many messages wait in it; `None` where it cannot know.
    /// Asked once, before `open`.
    fn lag(&self) -> Option<Lag> {
        None
    }

    /// Whether messages are settled one by one or up to a position.
    fn settlement(&self) -> Settlement {
        Settlement::Individual
    }
}

/// The token type of a producer.
pub type Token<P> = <<P as Producer>::Acknowledger as Acknowledger>::Token;

/// Tells a source the outcomes of its messages.
pub trait Acknowledger: Send + 'static {
    /// What the source needs to settle one message.
    type Token: Send + 'static;

    /// Settles a run of messages, in the order their outcomes became known.
    ///
    /// Takes out of `run` what it has settled.
    ///
    /// # Errors
    /// What is left in `run` is tried again with backoff, then counted as failed.
    fn settle(
        &mut self,
        run: &mut Vec<(Self::Token, Outcome)>,
    ) -> impl Future<Output = Result<Settled, BoxError>> + Send;

    /// How often [`extend`](Self::extend) is called; `None` where nothing expires.
    ///
    /// Well below the time after which the source gives a message to somebody else: calls of
    /// `settle` come in between.
    fn extend_every(&self) -> Option<Duration> {
        None
    }

    /// Tells the source that the messages without an outcome are still worked on.
    ///
    /// Which ones they are the acknowledger knows by its tokens: a token lives until its
    /// outcome is told, or never will be.
    ///
    /// # Errors
    /// An error is reported; the next call comes at its time.
    fn extend(&mut self) -> impl Future<Output = Result<(), BoxError>> + Send {
        async { Ok(()) }
    }

    /// Lets go of the source. Called once, when nothing more is received and every outcome was
    /// told, or is given up.
    ///
    /// What would block a thread in `drop` belongs here. It may take as long as a drain may;
    /// of a pipeline that is cut short it has half a second. `drop` is the last resort: it alone
    /// is left to a pipeline that is dropped.
    ///
    /// # Errors
    /// An error is reported; the pipeline ends all the same.
    ///
    /// # Cancel safety
    /// May be dropped at its deadline, and is not called again then.
    fn close(&mut self) -> impl Future<Output = Result<(), BoxError>> + Send {
        async { Ok(()) }
    }

    /// Changes how one message will be settled.
    ///
    /// # Errors
    /// Fails for an option that the source does not know; the message is rejected then.
    fn configure(
        _token: &mut Self::Token,
        options: &SettleOptions,
    ) -> Result<(), UnsupportedOption> {
        Err(UnsupportedOption::any(options))
    }
}

/// How the source took a run of outcomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Settled {
    /// The source has confirmed them.
    pub confirmed: u64,
    /// They were sent; the source does not confirm.
    pub sent: u64,
    /// They came too late: the source has given the messages to somebody else.
    pub stale: u64,
}

impl Settled {
    /// The source has confirmed `count` outcomes.
    #[must_use]
    pub fn confirmed(count: usize) -> Self {
        Self {
            confirmed: count as u64,
            ..Self::default()
        }
    }

    /// `count` outcomes were sent; the source does not confirm.
    #[must_use]
    pub fn sent(count: usize) -> Self {
        Self {
            sent: count as u64,
            ..Self::default()
        }
    }

    /// `count` outcomes came too late.
    #[must_use]
    pub fn stale(count: usize) -> Self {
        Self {
            stale: count as u64,
            ..Self::default()
        }
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            confirmed: self.confirmed + other.confirmed,
            sent: self.sent + other.sent,
            stale: self.stale + other.stale,
        }
    }
}

/// A settlement that failed, and was tried as often as is sensible.
#[derive(Debug, thiserror::Error)]
#[error("{count} outcomes could not be told to the source")]
#[non_exhaustive]
pub struct SettleError {
    /// How many outcomes the source does not know.
    pub count: usize,
    /// What the source said last.
    pub source: BoxError,
}

impl SettleError {
    /// `count` outcomes could not be told.
    pub fn new(count: usize, source: BoxError) -> Self {
        Self { count, source }
    }
}

/// Options that change how a source settles one message, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettleOptions(BTreeMap<String, String>);

impl SettleOptions {
    /// Sets an option.
    #[must_use]
    pub fn set(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }

    /// The value of an option.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All options, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }
}

/// The source does not know an option of [`SettleOptions`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the source does not know the settle option {name}")]
#[non_exhaustive]
pub struct UnsupportedOption {
    /// The option.
    pub name: String,
}

impl UnsupportedOption {
    /// An option that is not known.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }

    /// None of the options is known: names the first.
    pub fn any(options: &SettleOptions) -> Self {
        Self::new(options.iter().next().map_or("", |(name, _)| name))
    }
}

/// For sources that want no outcomes back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unacknowledged;

impl Acknowledger for Unacknowledged {
    type Token = ();

    async fn settle(&mut self, run: &mut Vec<((), Outcome)>) -> Result<Settled, BoxError> {
        Ok(Settled::sent(run.drain(..).count()))
    }
}

/// Whether a source has more to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Received {
    /// Ask again.
    More,
    /// That was all: the pipeline ends when everything is settled.
    End,
}

/// One message as its source hands it out.
#[derive(Debug)]
pub struct Delivery<P, K = ()> {
    payload: P,
    token: K,
    origin: Option<Origin>,
}

impl<P, K> Delivery<P, K> {
    /// A payload, and what the source needs to settle it.
    pub fn new(payload: P, token: K) -> Self {
        Self {
            payload,
            token,
            origin: None,
        }
    }

    /// With where it came from.
    #[must_use]
    pub fn with_origin(mut self, origin: Origin) -> Self {
        self.origin = Some(origin);
        self
    }
}

/// Where a producer puts what it received: as much as was asked for, and no more.
pub struct Intake<P, K = ()> {
    demand: usize,
    /// With receipts that are nobody's until the messages are taken.
    messages: Vec<Message<P>>,
    tokens: Vec<K>,
    origins: Vec<Origin>,
}

impl<P, K> Intake<P, K> {
    /// An intake that asks for nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            demand: 0,
            messages: Vec::new(),
            tokens: Vec::new(),
            origins: Vec::new(),
        }
    }

    /// Asks for up to `demand` messages, those already there included.
    pub fn ask(&mut self, demand: usize) {
        self.demand = demand;
    }

    /// How many more messages are asked for.
    pub fn room(&self) -> usize {
        self.demand.saturating_sub(self.messages.len())
    }

    /// How many messages are there.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether no message is there.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Adds a message of which nothing more is known.
    #[inline]
    pub fn push_payload(&mut self, payload: P, token: K) {
        self.messages
            .push(Message::new(payload, Receipt::detached()));
        self.tokens.push(token);
    }

    /// Adds a message. One beyond the demand is kept, and counts against the next demand.
    #[inline]
    pub fn push(&mut self, delivery: Delivery<P, K>) {
        if let Some(origin) = delivery.origin {
            self.origins
                .resize_with(self.messages.len(), Origin::default);
            self.origins.push(origin);
        }
        self.push_payload(delivery.payload, delivery.token);
    }

    /// The payloads so far.
    pub fn payloads(&self) -> impl ExactSizeIterator<Item = &P> {
        self.messages.iter().map(Message::payload)
    }

    /// Takes up to `count` messages out, oldest first: payloads, tokens and origins.
    ///
    /// The origins are empty where the source knows none.
    pub fn take(&mut self, count: usize) -> (impl Iterator<Item = P>, Drain<'_, K>, Vec<Origin>) {
        let count = count.min(self.messages.len());
        let origins = self.take_origins(count);
        let messages = self.messages.drain(..count);
        let payloads = messages.map(|message| message.into_parts().0);
        (payloads, self.tokens.drain(..count), origins)
    }

    /// Takes up to `count` messages out, oldest first, with receipts of what `deliver` makes of
    /// their tokens and origins. They stay where they are when all go to an empty queue.
    pub fn take_into(
        &mut self,
        count: usize,
        ready: &mut VecDeque<Message<P>>,
        deliver: impl FnOnce(Drain<'_, K>, Vec<Origin>) -> Delivered,
    ) {
        let count = count.min(self.messages.len());
        let origins = self.take_origins(count);
        let delivered = deliver(self.tokens.drain(..count), origins);
        delivered.tie(&mut self.messages[..count]);
        if ready.is_empty() && count == self.messages.len() {
            let emptied = Vec::from(mem::take(ready));
            *ready = VecDeque::from(mem::replace(&mut self.messages, emptied));
        } else {
            ready.extend(self.messages.drain(..count));
        }
    }

    fn take_origins(&mut self, count: usize) -> Vec<Origin> {
        if self.origins.is_empty() {
            return Vec::new();
        }
        self.origins
            .resize_with(self.messages.len(), Origin::default);
        self.origins.drain(..count).collect()
    }
}

impl<P, K> Default for Intake<P, K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P, K> fmt::Debug for Intake<P, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake")
            .field("demand", &self.demand)
            .field("len", &self.messages.len())
            .finish_non_exhaustive()
    }
}
