//! What each rule stands on: its rig, and the words for what went wrong.

use std::{error::Error, sync::Arc, time::Duration};

use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep, timeout},
};
use towpath::BoxError;

use super::{Broken, Rig, Rule, suite::Verdict};

/// As long as anything may take that has to come.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// How soon a connector says that its server is gone.
pub(super) const NOTICES: Duration = Duration::from_secs(20);
/// How much later than it should a stop, a delay or a lease may be over.
pub(super) const SLACK: Duration = Duration::from_secs(20);
/// How long a state has to last to count as lasting.
pub(super) const A_WHILE: Duration = Duration::from_millis(500);
/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// A rig, and the rule it is tested by.
pub(super) struct Stand<R> {
    pub(super) rig: Arc<R>,
    rule: Rule,
}

impl<R> Clone for Stand<R> {
    fn clone(&self) -> Self {
        let rig = self.rig.clone();
        Self { rig, ..*self }
    }
}

impl<R> Stand<R> {
    pub(super) fn new(rule: impl Into<Rule>, rig: R) -> Self {
        let (rule, rig) = (rule.into(), Arc::new(rig));
        Self { rig, rule }
    }

    pub(super) fn broken(&self, what: impl Into<String>) -> Broken {
        self.rule.broken(what)
    }

    pub(super) fn ensure(&self, holds: bool, what: impl FnOnce() -> String) -> Verdict {
        if holds {
            Ok(())
        } else {
            Err(self.broken(what()))
        }
    }

    /// Something of the rig failed, and nothing is known of the connector.
    pub(super) fn fault(&self, doing: &str, error: &BoxError) -> Broken {
        self.broken(format!("the rig cannot {doing}: {}", chain(&**error)))
    }

    /// Looks again and again until there is something, for so long.
    pub(super) async fn until<T>(
        &self,
        within: Duration,
        mut look: impl AsyncFnMut() -> Verdict<Option<T>>,
    ) -> Verdict<Option<T>> {
        let end = Instant::now() + within;
        loop {
            if let Some(found) = look().await? {
                return Ok(Some(found));
            }
            if Instant::now() >= end {
                return Ok(None);
            }
            sleep(LOOK).await;
        }
    }

    /// What a call of the code under test comes to, if it ends within a time.
    pub(super) async fn within<T>(
        &self,
        time: Duration,
        what: &str,
        call: impl Future<Output = T>,
    ) -> Verdict<T> {
        let ended = timeout(time, call).await;
        ended.map_err(|_| self.broken(format!("{what} has not ended after {time:?}")))
    }
}

impl<R: Rig> Stand<R> {
    pub(super) async fn place(&self) -> Verdict<String> {
        let place = self.rig.place().await;
        place.map_err(|error| self.fault("make a place", &error))
    }

    pub(super) async fn kill(&self) -> Verdict {
        self.blocking(|rig| {
            rig.kill();
            Ok(())
        })
        .await
    }

    pub(super) async fn restart(&self) -> Verdict {
        self.blocking(Rig::restart).await
    }

    /// Whether the server could be stopped without ending it.
    pub(super) async fn freeze(&self) -> Verdict<bool> {
        self.blocking(|rig| Ok(rig.freeze())).await
    }

    pub(super) async fn thaw(&self) -> Verdict {
        self.blocking(|rig| {
            rig.thaw();
            Ok(())
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        act: impl FnOnce(&R) -> Result<T, BoxError> + Send + 'static,
    ) -> Verdict<T> {
        let rig = self.rig.clone();
        match spawn_blocking(move || act(&rig)).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(self.fault("start its server again", &error)),
            Err(error) => Err(self.fault("act on its server", &error.into())),
        }
    }

    /// An error is shown to people: it has words, and none that are secret.
    pub(super) fn is_fit_to_be_shown(&self, error: &str) -> Verdict {
        self.ensure(!error.trim().is_empty(), || {
            "the error has no words".to_owned()
        })?;
        let secrets = self.rig.secrets();
        let told = secrets.iter().find(|secret| error.contains(*secret));
        self.ensure(told.is_none(), || {
            // Not the error itself: what is printed here ends up in logs, too.
            format!("an error shows a secret: {}", hidden(error, &secrets))
        })
    }
}

fn hidden(error: &str, secrets: &[String]) -> String {
    let hide = |text: String, secret: &String| text.replace(secret.as_str(), "<secret>");
    secrets.iter().fold(error.to_owned(), hide)
}

/// An error with its causes.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
