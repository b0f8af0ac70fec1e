//! A source that ends after so many messages, with a stopwatch that sees them come and go.

use std::sync::Arc;
use std::time::Duration;

use towpath::BoxError;
use towpath::core::{
    Acknowledger, Intake, Lag, Outcome, Peer, Producer, Reach, Received, Redelivery, SettleOptions,
    Settled, Settlement, Token, UnsupportedOption,
};

use super::stopwatch::Stopwatch;

/// Another source, as long as there are messages to come.
#[derive(Debug)]
pub struct Timed<P> {
    inner: P,
    left: usize,
    watch: Arc<Stopwatch>,
}

/// The acknowledger of that source.
#[derive(Debug)]
pub struct TimedAcknowledger<A> {
    inner: A,
    watch: Arc<Stopwatch>,
}

// === impl Timed ===

impl<P> Timed<P> {
    /// Ends with the last of so many messages of `inner`, which has no more.
    pub fn new(inner: P, messages: u32, watch: &Arc<Stopwatch>) -> Self {
        Self {
            inner,
            left: messages.try_into().unwrap_or(usize::MAX),
            watch: Arc::clone(watch),
        }
    }
}

impl<P: Producer> Producer for Timed<P> {
    type Payload = P::Payload;
    type Acknowledger = TimedAcknowledger<P::Acknowledger>;

    async fn open(&mut self) -> Result<(), BoxError> {
        self.inner.open().await
    }

    async fn receive(
        &mut self,
        intake: &mut Intake<P::Payload, Token<P>>,
    ) -> Result<Received, BoxError> {
        let before = intake.len();
        let received = self.inner.receive(intake).await?;
        let came = intake.len() - before;
        if came > 0 {
            self.watch.came();
        }
        self.left = self.left.saturating_sub(came);
        Ok(if self.left == 0 {
            Received::End
        } else {
            received
        })
    }

    async fn drain(&mut self, intake: &mut Intake<P::Payload, Token<P>>) -> Result<(), BoxError> {
        self.inner.drain(intake).await
    }

    fn acknowledger(&mut self) -> Option<Self::Acknowledger> {
        let inner = self.inner.acknowledger()?;
        let watch = Arc::clone(&self.watch);
        Some(TimedAcknowledger { inner, watch })
    }

    fn redelivery(&self) -> Redelivery {
        self.inner.redelivery()
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

    fn settlement(&self) -> Settlement {
        self.inner.settlement()
    }
}

// === impl TimedAcknowledger ===

impl<A: Acknowledger> Acknowledger for TimedAcknowledger<A> {
    type Token = A::Token;

    async fn settle(&mut self, run: &mut Vec<(A::Token, Outcome)>) -> Result<Settled, BoxError> {
        let settled = self.inner.settle(run).await?;
        self.watch.settled(settled.confirmed + settled.sent);
        Ok(settled)
    }

    fn extend_every(&self) -> Option<Duration> {
        self.inner.extend_every()
    }

    async fn extend(&mut self) -> Result<(), BoxError> {
        self.inner.extend().await
    }

    async fn close(&mut self) -> Result<(), BoxError> {
        self.inner.close().await
    }

    fn configure(token: &mut A::Token, options: &SettleOptions) -> Result<(), UnsupportedOption> {
        A::configure(token, options)
    }
}
