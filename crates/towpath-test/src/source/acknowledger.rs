//! The side of a test source that is told the outcomes.

use std::{fmt, sync::Arc};

use futures_util::future::BoxFuture;
use towpath::{
    BoxError, Outcome, SettleOptions,
    core::{Acknowledger, Settled, UnsupportedOption},
};

use super::returns::Returns;
use crate::Outcomes;

/// Notes the outcomes of a test source, or fails to on cue.
pub struct TestAcknowledger<P> {
    cue: SettleCue,
    outcomes: Outcomes,
    returns: Arc<Returns<P>>,
}

/// How telling goes wrong, and what it waits for.
#[derive(Clone, Default)]
pub(super) struct SettleCue {
    pub(super) fails: usize,
    pub(super) panics: usize,
    pub(super) hangs: bool,
    pub(super) first: Option<First>,
}

/// What comes before the outcomes of a run are noted.
pub(super) type First = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// What a test source needs to settle one delivery.
pub struct TestToken<P> {
    pub(super) index: u64,
    pub(super) attempt: u32,
    pub(super) payload: Option<P>,
    pub(super) known: Arc<[String]>,
    pub(super) outcomes: Outcomes,
}

impl<P> TestAcknowledger<P> {
    pub(super) fn new(cue: SettleCue, outcomes: Outcomes, returns: Arc<Returns<P>>) -> Self {
        Self {
            cue,
            outcomes,
            returns,
        }
    }

    pub(super) fn outcomes(&self) -> &Outcomes {
        &self.outcomes
    }

    pub(super) fn returns(&self) -> &Arc<Returns<P>> {
        &self.returns
    }

    async fn act(&self) -> Result<(), BoxError> {
        let call = self.outcomes.settle_called();
        assert!(call >= self.cue.panics, "settle panics on cue");
        if call < self.cue.fails + self.cue.panics {
            return Err("settle fails on cue".into());
        }
        if self.cue.hangs {
            std::future::pending::<()>().await;
        }
        if let Some(first) = &self.cue.first {
            first().await;
        }
        Ok(())
    }
}

impl<P: Send + 'static> Acknowledger for TestAcknowledger<P> {
    type Token = TestToken<P>;

    async fn settle(
        &mut self,
        run: &mut Vec<(TestToken<P>, Outcome)>,
    ) -> Result<Settled, BoxError> {
        self.act().await?;
        let count = run.len();
        for (mut token, outcome) in run.drain(..) {
            self.returns.settled(&mut token, &outcome);
            self.outcomes.tell(token.index, token.attempt, outcome);
        }
        Ok(Settled::confirmed(count))
    }

    fn configure(
        token: &mut TestToken<P>,
        options: &SettleOptions,
    ) -> Result<(), UnsupportedOption> {
        let unknown = |name: &&str| token.known.iter().all(|known| known != name);
        if let Some(name) = options.iter().map(|(name, _)| name).find(unknown) {
            return Err(UnsupportedOption::new(name));
        }
        token.outcomes.configured(token.index, options);
        Ok(())
    }
}

impl<P> Clone for TestAcknowledger<P> {
    fn clone(&self) -> Self {
        Self {
            cue: self.cue.clone(),
            outcomes: self.outcomes.clone(),
            returns: self.returns.clone(),
        }
    }
}

impl<P> fmt::Debug for TestAcknowledger<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestAcknowledger")
            .field("cue", &self.cue)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SettleCue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SettleCue")
            .field("fails", &self.fails)
            .field("panics", &self.panics)
            .field("hangs", &self.hangs)
            .finish_non_exhaustive()
    }
}

impl<P> fmt::Debug for TestToken<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestToken")
            .field("index", &self.index)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}
