//! A source without an engine: its calls are made, and dropped, by the rule itself.

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use tokio::time::{Instant, sleep, timeout};
use towpath::{
    BoxError, Outcome,
    core::{Acknowledger, Intake, Producer, Settled, Token},
};

use super::{
    Parcel, SourceRig,
    stand::{PATIENCE, Stand, chain},
    suite::Verdict,
};

/// How long a call is waited for that is to be dropped anyway.
const SHORT: Duration = Duration::from_secs(1);
/// The pause behind a call that failed.
const BACKOFF: Duration = Duration::from_millis(100);

/// A source in the hands of a rule.
pub(super) struct Driver<'a, R: SourceRig> {
    stand: &'a Stand<R>,
    producer: R::Source,
    acknowledger: <R::Source as Producer>::Acknowledger,
    intake: Intake<<R::Source as Producer>::Payload, Token<R::Source>>,
    extended: Instant,
    error: Option<String>,
}

/// A delivery, and what settles it.
pub(super) struct Direct<K> {
    pub(super) parcel: Parcel,
    pub(super) token: K,
}

/// What was received, and what settles it.
pub(super) type Run<R> = Vec<(Token<<R as SourceRig>::Source>, Outcome)>;

impl<'a, R: SourceRig> Driver<'a, R> {
    /// Opens a source as the engine does.
    pub(super) async fn open(stand: &'a Stand<R>, place: &str, member: usize) -> Verdict<Self> {
        let mut producer = stand.rig.source(place, member);
        let opened = stand.within(PATIENCE, "`open`", producer.open()).await?;
        opened.map_err(|error| {
            let error = chain(&*error);
            stand.broken(format!("the source does not open: {error}"))
        })?;
        let acknowledger = producer.acknowledger();
        let acknowledger = acknowledger
            .ok_or_else(|| stand.broken("the source does not want to know any outcome"))?;
        Ok(Self {
            stand,
            producer,
            acknowledger,
            intake: Intake::new(),
            extended: Instant::now(),
            error: None,
        })
    }

    /// Receives until there is something, as the engine does.
    pub(super) async fn receive_some(
        &mut self,
        demand: usize,
    ) -> Verdict<Vec<Direct<Token<R::Source>>>> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let came = self.receive(demand, usize::MAX).await;
            if !came.is_empty() {
                return Ok(came);
            }
        }
        let error = self.error.take().unwrap_or_default();
        let what = format!("nothing is received within {PATIENCE:?} {error}");
        Err(self.stand.broken(what))
    }

    /// Receives, and drops the call when it has to wait for the `polls`th time.
    pub(super) async fn receive(
        &mut self,
        demand: usize,
        polls: usize,
    ) -> Vec<Direct<Token<R::Source>>> {
        self.intake.ask(demand);
        let receiving = self.producer.receive(&mut self.intake);
        if let Some(Err(error)) = cut_short(polls, receiving).await {
            self.error = Some(chain(&*error));
            sleep(BACKOFF).await;
        }
        self.take()
    }

    fn take(&mut self) -> Vec<Direct<Token<R::Source>>> {
        let count = self.intake.len();
        let (payloads, tokens, _) = self.intake.take(count);
        let direct = |(payload, token)| Direct {
            parcel: R::parcel(&payload),
            token,
        };
        payloads.zip(tokens).map(direct).collect()
    }

    /// Tells outcomes, again while that fails, as the engine does.
    pub(super) async fn settle_all(&mut self, mut run: Run<R>) -> Result<Settled, BoxError> {
        let settling = async {
            let mut settled = Settled::default();
            loop {
                match self.acknowledger.settle(&mut run).await {
                    Ok(more) => return Ok(settled.and(more)),
                    Err(error) if run.is_empty() => return Err(error),
                    Err(_) => sleep(BACKOFF).await,
                }
                settled = Settled::default();
            }
        };
        timeout(PATIENCE, settling).await?
    }

    /// Tells outcomes, and drops the call when it has to wait for the `polls`th time; what
    /// is left is to be told again.
    pub(super) async fn settle(&mut self, run: &mut Run<R>, polls: usize) {
        match cut_short(polls, self.acknowledger.settle(run)).await {
            Some(Ok(_)) => run.clear(),
            Some(Err(error)) => self.error = Some(chain(&*error)),
            None => {}
        }
    }

    /// Extends what is not settled, when it is time to.
    pub(super) async fn extend_in_time(&mut self) {
        let every = self.acknowledger.extend_every();
        if every.is_some_and(|every| self.extended.elapsed() >= every) {
            self.extended = Instant::now();
            if let Some(Err(error)) = cut_short(usize::MAX, self.acknowledger.extend()).await {
                self.error = Some(chain(&*error));
            }
        }
    }

    /// What the source said last when a call failed.
    pub(super) fn error(&self) -> &str {
        self.error.as_deref().unwrap_or("no call has failed")
    }
}

/// Runs a future until it has to wait for the `polls`th time, and drops it then; or when it
/// takes too long.
pub(super) async fn cut_short<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut waits = 0;
    let counted = poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => {
            waits += 1;
            if waits >= polls {
                Poll::Ready(None)
            } else {
                Poll::Pending
            }
        }
    });
    timeout(SHORT, counted).await.ok().flatten()
}
