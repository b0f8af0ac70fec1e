//! The side of a test source that hands items out.

use std::{fmt, future::pending, sync::Arc};

use towpath::{
    BoxError, Delivery, Headers, Origin,
    core::{Intake, Permanent, Producer, Received, Redelivery},
};

use super::{TestAcknowledger, TestToken};

/// Hands out the items of a [`TestSource`](crate::TestSource), or fails to on cue.
pub struct TestProducer<P> {
    items: std::iter::Peekable<Box<dyn Iterator<Item = P> + Send>>,
    next: u64,
    cue: ReceiveCue,
    known: Arc<[String]>,
    acknowledger: TestAcknowledger<P>,
    redelivery: Redelivery,
}

/// How receiving goes wrong.
#[derive(Debug)]
pub(super) struct ReceiveCue {
    pub(super) chunk: usize,
    pub(super) fail_at: Option<u64>,
    pub(super) end_at: Option<u64>,
    pub(super) panic_at: Option<u64>,
    pub(super) hang_at: Option<u64>,
    pub(super) endless: bool,
    pub(super) open_fails: bool,
}

impl Default for ReceiveCue {
    fn default() -> Self {
        Self {
            chunk: usize::MAX,
            fail_at: None,
            end_at: None,
            panic_at: None,
            hang_at: None,
            endless: false,
            open_fails: false,
        }
    }
}

impl ReceiveCue {
    fn act(&mut self, next: u64) -> Result<(), BoxError> {
        let panics = self.panic_at.take_if(|n| *n == next).is_some();
        assert!(!panics, "receive panics on cue before item {next}");
        if self.fail_at.take_if(|n| *n == next).is_some() {
            return Err(format!("receive fails on cue before item {next}").into());
        }
        if self.end_at.take_if(|n| *n == next).is_some() {
            let error = format!("the source is gone before item {next}");
            return Err(Permanent::new(error).into());
        }
        Ok(())
    }

    fn hangs(&self, next: u64) -> bool {
        self.hang_at.is_some_and(|n| next >= n)
    }
}

type TestIntake<P> = Intake<P, TestToken<P>>;

impl<P: Send + 'static> TestProducer<P> {
    pub(super) fn new(
        items: Box<dyn Iterator<Item = P> + Send>,
        cue: ReceiveCue,
        known: Arc<[String]>,
        acknowledger: TestAcknowledger<P>,
        redelivery: Redelivery,
    ) -> Self {
        Self {
            items: items.peekable(),
            next: 0,
            cue,
            known,
            acknowledger,
            redelivery,
        }
    }

    fn push(
        &self,
        intake: &mut TestIntake<P>,
        index: u64,
        (attempt, trace): (u32, Headers),
        payload: P,
    ) {
        let origin = Origin::default()
            .at(index)
            .identified(format!("test-{index}"))
            .attempt(attempt)
            .headers(trace);
        let token = TestToken {
            index,
            attempt,
            payload: self.acknowledger.returns().keep(&payload),
            known: self.known.clone(),
            outcomes: self.acknowledger.outcomes().clone(),
        };
        intake.push(Delivery::new(payload, token).with_origin(origin));
    }

    /// What was given back and is due comes before what is new.
    fn push_due(&self, intake: &mut TestIntake<P>, up_to: usize) {
        while intake.len() < up_to
            && let Some(due) = self.acknowledger.returns().take_due()
        {
            self.push(intake, due.index, (due.attempt, due.trace), due.payload);
        }
    }

    fn push_new(&mut self, intake: &mut TestIntake<P>, up_to: usize) -> Result<(), BoxError> {
        while intake.len() < up_to && !self.cue.hangs(self.next) {
            self.cue.act(self.next)?;
            let Some(payload) = self.items.next() else {
                break;
            };
            self.push(intake, self.next, (1, Headers::default()), payload);
            self.next += 1;
        }
        Ok(())
    }

    /// Whether no item is left and none can come again.
    fn is_over(&mut self) -> bool {
        let stays = self.cue.endless || self.cue.hangs(self.next);
        !stays && self.items.peek().is_none() && !self.acknowledger.returns().is_open()
    }
}

impl<P: Send + 'static> Producer for TestProducer<P> {
    type Payload = P;
    type Acknowledger = TestAcknowledger<P>;

    async fn open(&mut self) -> Result<(), BoxError> {
        if self.cue.open_fails {
            return Err("open fails on cue".into());
        }
        Ok(())
    }

    async fn receive(&mut self, intake: &mut TestIntake<P>) -> Result<Received, BoxError> {
        let up_to = intake.len() + intake.room().min(self.cue.chunk);
        self.acknowledger.outcomes().asked(intake.room());
        loop {
            self.push_due(intake, up_to);
            self.push_new(intake, up_to)?;
            if self.is_over() {
                return Ok(Received::End);
            }
            if !intake.is_empty() {
                return Ok(Received::More);
            }
            if self.acknowledger.returns().comes_again() {
                self.acknowledger.returns().changed().await;
            } else {
                pending::<()>().await;
            }
        }
    }

    fn acknowledger(&mut self) -> Option<TestAcknowledger<P>> {
        Some(self.acknowledger.clone())
    }

    fn redelivery(&self) -> Redelivery {
        self.redelivery
    }
}

impl<P> fmt::Debug for TestProducer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestProducer")
            .field("next", &self.next)
            .field("cue", &self.cue)
            .finish_non_exhaustive()
    }
}
