//! Delivers again what was given back, for sources that cannot do it themselves.

mod acknowledger;
mod parking;

use std::{
    collections::VecDeque,
    fmt,
    future::pending,
    iter,
    num::{NonZeroU32, NonZeroUsize},
    sync::Arc,
};

use tokio::time::{Instant, sleep_until};
use towpath_core::{
    BoxError, Intake, Lag, Origin, Peer, Producer, Reach, Received, Redelivery, Settlement, Token,
};

pub use acknowledger::{RedeliverToken, Redeliveries};
pub use parking::GivenUp;
use parking::{Parking, Ready};

/// Delivers again what was given back, no sooner than asked for.
///
/// Keeps a clone of each message until it is settled. One that is given back to be
/// retried waits here and comes again as it was, its origin's
/// [`attempt`](Origin::attempt) higher by the attempts that the delivery came to: a
/// message that was tried three times in place comes again as attempt 4. What is given
/// back from its last attempt is given back to the wrapped source, as is any other
/// outcome.
///
/// For sources in memory: a crash loses what a source that cannot deliver again had in
/// flight, so that the promise is [`Redelivery::InProcess`], or more where the wrapped
/// source promises more.
///
/// # Bounds
/// - 5 [attempts](Self::attempts) for each message, those made in place included.
/// - 1024 [parked](Self::max_parked) messages: while more wait to be delivered again,
///   nothing new is received.
///
/// # End
/// Ends when the wrapped source has, and every message is settled: one that is in flight
/// may come back. So a batcher behind it must close its batches by age, not only when
/// they are full. At a drain, what waits is delivered once more without waiting further;
/// what is given back after that is given back to the wrapped source.
///
/// ```
/// use towpath_producer::{IterSource, Redeliver};
///
/// let numbers = Redeliver::new(IterSource::new(0..10));
/// # let _ = numbers;
/// ```
#[must_use]
pub struct Redeliver<P: Producer> {
    inner: P,
    attempts: NonZeroU32,
    max_parked: NonZeroUsize,
    /// What the wrapped source has pushed.
    intake: Intake<P::Payload, Token<P>>,
    /// What can be handed out at once.
    ready: VecDeque<Ready<P::Payload, Token<P>>>,
    parking: Arc<Parking<P::Payload, Token<P>>>,
    ended: bool,
    draining: bool,
}

type Inlet<P> =
    Intake<<P as Producer>::Payload, RedeliverToken<<P as Producer>::Payload, Token<P>>>;

/// Attempts at a message, unless said otherwise.
const ATTEMPTS: NonZeroU32 = NonZeroU32::new(5).expect("not zero");
/// Messages that wait to be delivered again, unless said otherwise.
const MAX_PARKED: NonZeroUsize = NonZeroUsize::new(1024).expect("not zero");

impl<P: Producer<Payload: Clone>> Redeliver<P> {
    /// Delivers again what `inner` does not.
    pub fn new(inner: P) -> Self {
        Self {
            inner,
            attempts: ATTEMPTS,
            max_parked: MAX_PARKED,
            intake: Intake::new(),
            ready: VecDeque::new(),
            parking: Arc::new(Parking::new()),
            ended: false,
            draining: false,
        }
    }

    /// Delivers a message again until it has had `attempts` attempts.
    ///
    /// Each delivery is one, and each retry in place one more: a message that is tried
    /// three times in place at each delivery comes twice with 5 attempts, as 1 and as 4. A
    /// delivery begins only with an attempt to spare, and how often it is retried in place
    /// is not limited here.
    pub fn attempts(mut self, attempts: NonZeroU32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Receives nothing new while `messages` or more wait to be delivered again.
    pub fn max_parked(mut self, messages: NonZeroUsize) -> Self {
        self.max_parked = messages;
        self
    }

    /// The wrapped source.
    pub fn get_ref(&self) -> &P {
        &self.inner
    }

    /// The wrapped source, to be changed before it runs.
    pub fn get_mut(&mut self) -> &mut P {
        &mut self.inner
    }

    /// Counts the messages that were given back from their last attempt.
    pub fn given_up(&self) -> GivenUp {
        self.parking.given_up()
    }

    /// Hands out what is due, and then what the wrapped source has pushed.
    fn hand_out(&mut self, intake: &mut Inlet<P>) -> usize {
        let room = intake.room();
        let due = room.saturating_sub(self.ready.len());
        self.parking.take_due(due, &mut self.ready);
        self.take_pushed();
        let count = room.min(self.ready.len());
        self.hand_out_ready(count, intake);
        count
    }

    fn take_pushed(&mut self) {
        let (payloads, tokens, origins) = self.intake.take(self.intake.len());
        let origins = origins
            .into_iter()
            .chain(iter::repeat_with(Origin::default));
        for ((payload, token), origin) in payloads.zip(tokens).zip(origins) {
            let kept = self.parking.keep(payload, origin);
            self.ready.push_back(Ready { token, kept });
        }
    }

    fn hand_out_ready(&mut self, count: usize, intake: &mut Inlet<P>) {
        for _ in 0..count {
            let Some(next) = self.ready.front() else {
                break;
            };
            let again = !self.draining && next.kept.attempt < self.attempts.get();
            // A clone may panic: nothing is taken before it is there.
            let copy = again.then(|| next.kept.payload.clone());
            if let Some(ready) = self.ready.pop_front() {
                intake.push(ready.deliver(copy));
            }
        }
    }

    fn is_over(&self) -> bool {
        self.ended && self.ready.is_empty() && self.parking.nothing_is_kept()
    }

    /// Waits until something is due, was given back, or came from the wrapped source.
    async fn wait(&mut self, room: usize) -> Result<(), BoxError> {
        let parked = self.parking.len();
        let due = self.parking.next_due();
        self.intake.ask(room);
        tokio::select! {
            biased;
            () = self.parking.changed() => {}
            () = until(due) => {}
            received = self.inner.receive(&mut self.intake),
                if !self.ended && parked < self.max_parked.get() =>
            {
                self.ended = received? == Received::End;
            }
        }
        Ok(())
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}

impl<P: Producer<Payload: Clone>> Producer for Redeliver<P> {
    type Payload = P::Payload;
    type Acknowledger = Redeliveries<P::Payload, P::Acknowledger>;

    async fn open(&mut self) -> Result<(), BoxError> {
        self.inner.open().await
    }

    async fn receive(&mut self, intake: &mut Inlet<P>) -> Result<Received, BoxError> {
        loop {
            if self.hand_out(intake) > 0 || intake.room() == 0 {
                return Ok(Received::More);
            }
            if self.is_over() {
                return Ok(Received::End);
            }
            let waited = self.wait(intake.room()).await;
            if waited.is_err() {
                self.hand_out(intake);
            }
            waited?;
        }
    }

    async fn drain(&mut self, intake: &mut Inlet<P>) -> Result<(), BoxError> {
        self.draining = true;
        self.parking.close(&mut self.ready);
        let drained = self.inner.drain(&mut self.intake).await;
        self.take_pushed();
        self.hand_out_ready(self.ready.len(), intake);
        drained
    }

    fn acknowledger(&mut self) -> Option<Self::Acknowledger> {
        let inner = self.inner.acknowledger();
        let parking = self.parking.clone();
        Some(Redeliveries::new(inner, parking, self.attempts))
    }

    fn peer(&self) -> Peer {
        self.inner.peer()
    }

    fn reach(&self) -> Option<Reach> {
        self.inner.reach()
    }

    fn lag(&self) -> Option<Lag> {
        self.inner.lag()
    }

    fn redelivery(&self) -> Redelivery {
        self.inner.redelivery().max(Redelivery::InProcess)
    }

    fn settlement(&self) -> Settlement {
        self.inner.settlement()
    }
}

impl<P: Producer + fmt::Debug> fmt::Debug for Redeliver<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redeliver")
            .field("inner", &self.inner)
            .field("parked", &self.parking.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
