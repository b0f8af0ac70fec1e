//! One connection, shared by all that a source or a sink does with it.

mod live;
mod setup;

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_nats::ConnectErrorKind;
use tokio::time::{Instant, sleep, timeout};
use towpath_connector::Backoff;

pub(crate) use live::{Answer, Live};

use crate::{NatsError, NatsOptions};

/// Connects when somebody needs it, and again when the connection was lost.
///
/// The client would reconnect by itself, and go on trying after everybody has gone; and what
/// it was given to send meanwhile it would send later, when nobody counts on it any more. So
/// a client that has lost its connection is left, and the next one begins with nothing.
pub(crate) struct Connection {
    options: NatsOptions,
    shown: String,
    current: Mutex<Option<Live>>,
}

impl Connection {
    pub(crate) fn new(options: NatsOptions) -> Self {
        Self {
            shown: options.servers.shown(),
            options,
            current: Mutex::new(None),
        }
    }

    /// How long an answer may take.
    pub(crate) fn answer_timeout(&self) -> Duration {
        self.options.answer_timeout
    }

    /// The connection as it is, or a new one.
    ///
    /// # Cancel safety
    /// Cancel safe: a connection that nobody waits for any more is closed.
    pub(crate) async fn live(&self) -> Result<Live, NatsError> {
        if let Some(live) = self.current() {
            return Ok(live);
        }
        // Once per connection, and large: not part of every call.
        let fresh = Box::pin(self.connect()).await?;
        Ok(self.adopt(fresh))
    }

    /// As [`live`](Self::live), trying again until `patience` is over.
    pub(crate) async fn live_within(&self, patience: Duration) -> Result<Live, NatsError> {
        let until = Instant::now() + patience;
        let mut backoff = Backoff::default();
        loop {
            let error = match self.live().await {
                Ok(live) => return Ok(live),
                Err(error) => error,
            };
            let pause = backoff.next();
            if Instant::now() + pause >= until {
                return Err(error);
            }
            sleep(pause).await;
        }
    }

    /// Takes the connection for lost: it does not answer.
    pub(crate) fn leave(&self, live: &Live) {
        let left = self.lock().take_if(|current| current.is_same(live));
        drop(left);
    }

    fn current(&self) -> Option<Live> {
        let lost = self.lock().take_if(|live| !live.is_up());
        drop(lost);
        self.lock().clone()
    }

    /// Keeps a new connection, unless somebody was faster.
    fn adopt(&self, fresh: Live) -> Live {
        let mut current = self.lock();
        let before = current.take();
        let kept = match before {
            Some(live) if live.is_up() => live,
            _ => fresh,
        };
        *current = Some(kept.clone());
        kept
    }

    async fn connect(&self) -> Result<Live, NatsError> {
        let options = self.options.clone();
        let prepared = tokio::task::spawn_blocking(move || setup::prepare(&options)).await;
        let (options, watched) = match prepared {
            Ok(prepared) => prepared?,
            Err(_) => return Err(self.unreachable("the runtime ends")),
        };
        let addresses = self.options.servers.addresses();
        // One more than there are servers, for their names to be looked up.
        let tries = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        let patience = self
            .options
            .connect_timeout
            .saturating_mul(tries.saturating_add(1));
        let connecting = timeout(patience, options.connect(&addresses[..]));
        let client = match connecting.await {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => return Err(self.not_connected(&error)),
            Err(_) => return Err(self.unreachable("no answer")),
        };
        Ok(Live::new(
            client,
            watched,
            &self.options,
            self.shown.clone(),
        ))
    }

    fn not_connected(&self, error: &async_nats::ConnectError) -> NatsError {
        match error.kind() {
            ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
                NatsError::Unauthorized {
                    servers: self.shown.clone(),
                    settings: self.options.login().settings(),
                }
            }
            _ => self.unreachable(&error.to_string()),
        }
    }

    fn unreachable(&self, reason: &str) -> NatsError {
        NatsError::Connect {
            servers: self.shown.clone(),
            reason: reason.to_owned(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Live>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("servers", &self.shown)
            .finish_non_exhaustive()
    }
}
