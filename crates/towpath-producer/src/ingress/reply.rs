//! Tells whoever waits for a message what became of it.

use tokio::sync::oneshot;
use towpath_core::{Acknowledger, BoxError, Outcome, Settled};

/// Leads back to whoever waits for the outcome of a message, if anybody does.
///
/// Dropped without an outcome, it says that the message is given back.
#[derive(Debug)]
pub struct IngressToken(Option<oneshot::Sender<Outcome>>);

/// Tells the outcomes to those who wait for them.
#[derive(Clone, Copy, Debug)]
pub struct IngressReplies;

/// Waits for the outcome of a message.
pub(super) struct Reply(oneshot::Receiver<Outcome>);

impl IngressToken {
    /// Nobody waits.
    pub(super) fn unheard() -> Self {
        Self(None)
    }

    /// Somebody waits.
    pub(super) fn heard() -> (Self, Reply) {
        let (teller, reply) = oneshot::channel();
        (Self(Some(teller)), Reply(reply))
    }

    /// Tells the outcome; `false` when nobody waits for it.
    pub(super) fn tell(self, outcome: Outcome) -> bool {
        self.0.is_some_and(|teller| teller.send(outcome).is_ok())
    }
}

impl Reply {
    /// The outcome. A message of which nobody knows any more is given back.
    pub(super) async fn outcome(self) -> Outcome {
        self.0.await.unwrap_or_else(|_| Outcome::retry())
    }
}

impl Acknowledger for IngressReplies {
    type Token = IngressToken;

    async fn settle(
        &mut self,
        run: &mut Vec<(IngressToken, Outcome)>,
    ) -> Result<Settled, BoxError> {
        let all = run.len();
        let told = run.drain(..).map(|(token, outcome)| token.tell(outcome));
        let heard = told.filter(|heard| *heard).count();
        Ok(Settled::confirmed(heard).and(Settled::sent(all - heard)))
    }
}
