//! Parks what was given back, and tells the wrapped source all else.

use std::{fmt, mem, num::NonZeroU32, sync::Arc, time::Duration};

use towpath_core::{Acknowledger, BoxError, Outcome, SettleOptions, Settled, UnsupportedOption};

use super::parking::{Kept, Parking, Ready};

/// What [`Redeliver`](super::Redeliver) needs to settle a message, or to deliver it again.
#[derive(Debug)]
pub struct RedeliverToken<P, T> {
    token: T,
    state: State<P>,
}

#[derive(Debug)]
enum State<P> {
    /// May be delivered again.
    Kept(Kept<P>),
    /// On its last attempt.
    Last,
    /// Its outcome is for the wrapped source, which could not be told so far.
    Told,
}

/// Parks what was given back, and tells the wrapped source all else.
pub struct Redeliveries<P, A: Acknowledger> {
    inner: Option<A>,
    parking: Arc<Parking<P, A::Token>>,
    max_attempts: NonZeroU32,
    /// On their way to the wrapped source: kept here, should the way be cut off.
    told: Vec<(A::Token, Outcome)>,
    parked: usize,
}

// === impl RedeliverToken ===

impl<P, T> RedeliverToken<P, T> {
    pub(super) fn kept(token: T, kept: Kept<P>) -> Self {
        let state = State::Kept(kept);
        Self { token, state }
    }

    pub(super) fn last(token: T) -> Self {
        let state = State::Last;
        Self { token, state }
    }

    fn told(token: T) -> Self {
        let state = State::Told;
        Self { token, state }
    }
}

// === impl Redeliveries ===

impl<P, A: Acknowledger> Redeliveries<P, A> {
    pub(super) fn new(
        inner: Option<A>,
        parking: Arc<Parking<P, A::Token>>,
        max_attempts: NonZeroU32,
    ) -> Self {
        Self {
            inner,
            parking,
            max_attempts,
            told: Vec::new(),
            parked: 0,
        }
    }

    fn sort(&mut self, token: RedeliverToken<P, A::Token>, outcome: Outcome) {
        let RedeliverToken { token, state } = token;
        match (state, &outcome) {
            (
                State::Kept(kept),
                Outcome::Retry {
                    after,
                    attempts,
                    trace,
                    ..
                },
            ) => {
                let (after, kept) = (*after, kept.tried(*attempts).traced(trace.as_deref()));
                self.park(Ready { token, kept }, after, outcome);
            }
            (State::Last, Outcome::Retry { .. }) => self.give_up(token, outcome),
            _ => self.told.push((token, outcome)),
        }
    }

    fn park(&mut self, ready: Ready<P, A::Token>, after: Duration, outcome: Outcome) {
        if ready.kept.attempt > self.max_attempts.get() {
            return self.give_up(ready.token, outcome);
        }
        match self.parking.park(ready, after) {
            Ok(()) => self.parked += 1,
            Err(ready) => self.give_up(ready.token, outcome),
        }
    }

    fn give_up(&mut self, token: A::Token, outcome: Outcome) {
        self.parking.gave_up();
        self.told.push((token, outcome));
    }

    async fn tell(&mut self) -> Result<Settled, BoxError> {
        match &mut self.inner {
            Some(inner) if !self.told.is_empty() => inner.settle(&mut self.told).await,
            Some(_) => Ok(Settled::default()),
            None => Ok(Settled::sent(self.told.drain(..).count())),
        }
    }
}

impl<P: Send + 'static, A: Acknowledger> Acknowledger for Redeliveries<P, A> {
    type Token = RedeliverToken<P, A::Token>;

    async fn settle(&mut self, run: &mut Vec<(Self::Token, Outcome)>) -> Result<Settled, BoxError> {
        for (token, outcome) in run.drain(..) {
            self.sort(token, outcome);
        }
        let told = self.tell().await;
        let left = self.told.drain(..);
        let settled = told.inspect_err(|_| {
            run.extend(left.map(|(token, outcome)| (RedeliverToken::told(token), outcome)));
        })?;
        let parked = mem::take(&mut self.parked);
        Ok(settled.and(Settled::confirmed(parked)))
    }

    fn extend_every(&self) -> Option<Duration> {
        self.inner.as_ref()?.extend_every()
    }

    async fn extend(&mut self) -> Result<(), BoxError> {
        match &mut self.inner {
            Some(inner) => inner.extend().await,
            None => Ok(()),
        }
    }

    async fn close(&mut self) -> Result<(), BoxError> {
        match &mut self.inner {
            Some(inner) => inner.close().await,
            None => Ok(()),
        }
    }

    fn configure(
        token: &mut Self::Token,
        options: &SettleOptions,
    ) -> Result<(), UnsupportedOption> {
        A::configure(&mut token.token, options)
    }
}

impl<P, A: Acknowledger> fmt::Debug for Redeliveries<P, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redeliveries")
            .field("parked", &self.parking.len())
            .field("told", &self.told.len())
            .finish_non_exhaustive()
    }
}
