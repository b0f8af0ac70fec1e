//! Trying again until a server is back.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use towpath_core::{BoxError, Reach};

use crate::Backoff;

/// A server was away for longer than anybody waits.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {patience:?}")]
#[non_exhaustive]
pub struct OutOfPatience {
    /// How long it was tried.
    pub patience: Duration,
    /// What the last attempt said; `None` where the first had no answer at all.
    pub source: Option<BoxError>,
}

/// Tries a call of a server until it succeeds, with backoff in between, for as long as the
/// patience lasts; the [`Reach`] is told how it goes.
///
/// For calls that fail because the server is away. What the server refuses is for the caller
/// to answer: as a value, not as an error.
///
/// ```
/// use std::time::Duration;
/// use towpath_connector::Persistence;
/// use towpath_core::{BoxError, Reach};
///
/// async fn ask(attempt: u32) -> Result<&'static str, BoxError> {
///     if attempt < 3 { Err("refused".into()) } else { Ok("here") }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let mut tries = Persistence::new(Reach::default(), Duration::from_secs(60));
/// let mut attempt = 0;
/// let answer = loop {
///     attempt += 1;
///     if let Some(answer) = tries.attempt(ask(attempt)).await? {
///         break answer;
///     }
/// };
/// assert_eq!((answer, attempt), ("here", 3));
/// # Ok::<(), towpath_connector::OutOfPatience>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Persistence {
    reach: Reach,
    patience: Duration,
    until: Instant,
    backoff: Backoff,
    said: Option<BoxError>,
}

impl Persistence {
    /// Tries from now on for as long as `patience` says.
    pub fn new(reach: Reach, patience: Duration) -> Self {
        let now = Instant::now();
        Self {
            reach,
            patience,
            until: now.checked_add(patience).unwrap_or(now),
            backoff: Backoff::default(),
            said: None,
        }
    }

    /// With pauses of its own.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Makes one attempt. `None` when it has failed: then the pause is over too, and it is
    /// time for the next.
    ///
    /// # Errors
    /// Fails when the patience is over, with what was said last.
    ///
    /// # Cancel safety
    /// As `call`.
    pub async fn attempt<T>(
        &mut self,
        call: impl Future<Output = Result<T, BoxError>>,
    ) -> Result<Option<T>, OutOfPatience> {
        match timeout_at(self.until, call).await {
            Ok(Ok(answer)) => {
                self.reach.answered();
                Ok(Some(answer))
            }
            Ok(Err(error)) => {
                self.reach.failed(&error.to_string());
                self.said = Some(error);
                self.pause().await.map(|()| None)
            }
            Err(_) => {
                self.reach.failed("no answer");
                Err(self.out())
            }
        }
    }

    async fn pause(&mut self) -> Result<(), OutOfPatience> {
        let pause = self.backoff.next();
        if Instant::now() + pause >= self.until {
            return Err(self.out());
        }
        sleep(pause).await;
        Ok(())
    }

    fn out(&mut self) -> OutOfPatience {
        OutOfPatience {
            patience: self.patience,
            source: self.said.take(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn refused() -> impl Future<Output = Result<(), BoxError>> {
        ready(Err("refused".into()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_tried_until_it_succeeds_and_the_reach_tells_how_it_goes() {
        let reach = Reach::default();
        let mut tries = Persistence::new(reach.clone(), MINUTE);
        for failures in 1..=3 {
            assert!(tries.attempt(refused()).await.unwrap().is_none());
            assert_eq!(
                (reach.failures(), reach.error().as_deref()),
                (failures, Some("refused"))
            );
        }
        assert_eq!(tries.attempt(async { Ok(7) }).await.unwrap(), Some(7));
        assert_eq!((reach.failures(), reach.error()), (3, None));
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_calls_that_fail_with_what_they_said_last() {
        let reach = Reach::default();
        let begun = Instant::now();
        let mut tries = Persistence::new(reach.clone(), MINUTE);
        let error = loop {
            if let Err(error) = tries.attempt(refused()).await {
                break error;
            }
        };
        assert_eq!(error.source.unwrap().to_string(), "refused");
        assert!(begun.elapsed() <= MINUTE);
        let attempts = reach.failures();
        assert!(
            (5..30).contains(&attempts),
            "{attempts} attempts in a minute"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_a_call_that_hangs() {
        let begun = Instant::now();
        let mut tries = Persistence::new(Reach::default(), MINUTE);
        let hanging = async { pending::<Result<(), BoxError>>().await };
        let error = tries.attempt(hanging).await.unwrap_err();
        assert!(error.source.is_none());
        assert_eq!(begun.elapsed(), MINUTE);
    }
}
