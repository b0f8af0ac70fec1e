//! Injects single messages into a pipeline and awaits what becomes of them.

use std::fmt;

use futures_util::future::join_all;
use tokio::sync::{mpsc, oneshot};
use towpath::{
    BoxError, Delivery, Origin, Outcome, Source,
    core::{Acknowledger, Intake, Producer, Received, Settled},
};

/// How many messages may wait to be taken by the pipeline.
const WAITING: usize = 1024;

/// Sends single messages through a pipeline and awaits their outcomes. Cloning gives
/// another way in; the source ends when all are dropped.
///
/// A batcher waits for more messages, as long as it may. To have each message settled at
/// once, put `.flush_when(|_| true)` before it: it closes the batch at each message.
///
/// ```
/// use towpath::{Batcher, Flow};
/// use towpath_test::{Probe, Recorder};
///
/// # towpath_test::paused(async {
/// let (source, probe) = Probe::<u32>::new();
/// let recorder = Recorder::new();
/// let running = Flow::from(source)
///     .flush_when(|_| true)
///     .batch(Batcher::new("batch"))
///     .sink(recorder.sink("record"))
///     .start()
///     .await
///     .unwrap();
///
/// assert!(probe.send(7).await.is_done());
/// assert_eq!(recorder.items(), [7]);
/// drop(probe);
/// towpath_test::check(&running.join().await.unwrap());
/// # });
/// ```
pub struct Probe<P> {
    injected: mpsc::Sender<Injected<P>>,
}

struct Injected<P> {
    payload: P,
    token: ProbeToken,
}

/// What a probe needs to hear the outcome of one message.
#[derive(Debug)]
pub struct ProbeToken(oneshot::Sender<Outcome>);

/// Hands out what a [`Probe`] sends.
pub struct ProbeProducer<P> {
    injected: mpsc::Receiver<Injected<P>>,
    next: u64,
}

/// Tells a [`Probe`] its outcomes.
#[derive(Clone, Copy, Debug)]
pub struct ProbeAcknowledger;

impl<P: Send + 'static> Probe<P> {
    /// A source with the name `probe`, and the way into it.
    pub fn new() -> (Source<ProbeProducer<P>>, Self) {
        let (injected, receiver) = mpsc::channel(WAITING);
        let producer = ProbeProducer {
            injected: receiver,
            next: 0,
        };
        (Source::new("probe", producer), Self { injected })
    }

    /// Sends a message and waits for its outcome.
    ///
    /// # Panics
    /// Panics when the pipeline takes no more messages, or ends without an outcome.
    pub async fn send(&self, payload: P) -> Outcome {
        let outcome = self.inject(payload).await;
        outcome.await.expect("the pipeline has told the outcome")
    }

    /// Sends messages together and waits for their outcomes, in the order of the messages.
    ///
    /// # Panics
    /// As [`send`](Self::send).
    pub async fn send_batch(&self, payloads: impl IntoIterator<Item = P>) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for payload in payloads {
            outcomes.push(self.inject(payload).await);
        }
        let told = join_all(outcomes).await.into_iter();
        told.map(|outcome| outcome.expect("the pipeline has told the outcome"))
            .collect()
    }

    async fn inject(&self, payload: P) -> oneshot::Receiver<Outcome> {
        let (reply, outcome) = oneshot::channel();
        let token = ProbeToken(reply);
        let sent = self.injected.send(Injected { payload, token }).await;
        assert!(sent.is_ok(), "the pipeline takes no more messages");
        outcome
    }
}

impl<P: Send + 'static> Producer for ProbeProducer<P> {
    type Payload = P;
    type Acknowledger = ProbeAcknowledger;

    async fn receive(&mut self, intake: &mut Intake<P, ProbeToken>) -> Result<Received, BoxError> {
        let injected = &mut self.injected;
        let mut next = injected.recv().await;
        while let Some(Injected { payload, token }) = next {
            let origin = Origin::default().at(self.next);
            self.next += 1;
            intake.push(Delivery::new(payload, token).with_origin(origin));
            if intake.room() == 0 {
                return Ok(Received::More);
            }
            next = match injected.try_recv() {
                Ok(injected) => Some(injected),
                Err(_) => return Ok(Received::More),
            };
        }
        Ok(Received::End)
    }

    fn acknowledger(&mut self) -> Option<ProbeAcknowledger> {
        Some(ProbeAcknowledger)
    }
}

impl Acknowledger for ProbeAcknowledger {
    type Token = ProbeToken;

    async fn settle(&mut self, run: &mut Vec<(ProbeToken, Outcome)>) -> Result<Settled, BoxError> {
        let count = run.len();
        for (ProbeToken(reply), outcome) in run.drain(..) {
            // A probe that no longer waits needs no outcome.
            drop(reply.send(outcome));
        }
        Ok(Settled::confirmed(count))
    }
}

impl<P> Clone for Probe<P> {
    fn clone(&self) -> Self {
        Self {
            injected: self.injected.clone(),
        }
    }
}

impl<P> fmt::Debug for Probe<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe").finish_non_exhaustive()
    }
}

impl<P> fmt::Debug for ProbeProducer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProbeProducer")
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}
