//! The connection to a Redis server: made when it is needed, and again when it was lost.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use redis::{AsyncConnectionConfig, Client, RedisResult, aio::MultiplexedConnection};
use tokio::{
    sync::OnceCell,
    time::{self, Instant},
};

use crate::{BoxError, lock::lock};

/// One connection for all who ask; clones of it are what they ask on.
pub(crate) struct RedisLink {
    client: Client,
    timeout: Duration,
    pause: Duration,
    state: Mutex<State>,
}

/// The connection, and when it is worth asking.
#[derive(Default)]
struct State {
    connection: Arc<Connection>,
    /// The server failed: nobody asks before, but for the one who tries whether it is back.
    paused_until: Option<Instant>,
}

/// Made by whoever needs it first; the others wait for the same.
type Connection = OnceCell<MultiplexedConnection>;

/// Why a server was not asked, or did not answer.
#[derive(Debug, thiserror::Error)]
enum Unreachable {
    #[error("the server did not answer within {0:?}")]
    Silent(Duration),
    #[error("the server failed a moment ago")]
    Paused,
}

// === impl RedisLink ===

impl RedisLink {
    /// Does not connect yet. An answer may take as long as `timeout`, connecting included; a
    /// server that failed is left alone for `pause`.
    pub(crate) fn new(client: Client, timeout: Duration, pause: Duration) -> Self {
        Self {
            client,
            timeout,
            pause,
            state: Mutex::default(),
        }
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The same with another timeout, and a connection of its own.
    pub(crate) fn with_timeout(&self, timeout: Duration) -> Self {
        Self::new(self.client.clone(), timeout, self.pause)
    }

    /// The same with another pause, and a connection of its own.
    pub(crate) fn with_pause(&self, pause: Duration) -> Self {
        Self::new(self.client.clone(), self.timeout, pause)
    }

    /// Asks the server, if it is worth asking.
    pub(crate) async fn ask<T>(
        &self,
        question: impl AsyncFnOnce(MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, BoxError> {
        let connection = self.start()?;
        let asking = async {
            let connection = connection.get_or_try_init(|| self.connect()).await?;
            question(connection.clone()).await
        };
        let answer = time::timeout(self.timeout, asking).await;
        self.end(&connection, matches!(answer, Ok(Ok(_))));
        match answer {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(Unreachable::Silent(self.timeout).into()),
        }
    }

    async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeout))
            .set_response_timeout(Some(self.timeout));
        let client = &self.client;
        client
            .get_multiplexed_async_connection_with_config(&config)
            .await
    }

    /// The connection to ask on, unless the server failed a moment ago.
    fn start(&self) -> Result<Arc<Connection>, Unreachable> {
        let now = Instant::now();
        let mut state = self.state();
        match state.paused_until {
            Some(until) if now < until => return Err(Unreachable::Paused),
            // One tries whether it is back.
            Some(_) => state.paused_until = Some(now + self.timeout + self.pause),
            None => {}
        }
        Ok(state.connection.clone())
    }

    /// A connection that failed, or was silent, is not asked again.
    fn end(&self, connection: &Arc<Connection>, answered: bool) {
        let mut state = self.state();
        if !Arc::ptr_eq(&state.connection, connection) {
            return;
        }
        if answered {
            state.paused_until = None;
        } else {
            state.connection = Arc::default();
            state.paused_until = Some(Instant::now() + self.pause);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Shows where the server is, and no password.
impl fmt::Debug for RedisLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = self.client.get_connection_info().addr();
        f.debug_struct("RedisLink")
            .field("server", &format_args!("{server}"))
            .finish_non_exhaustive()
    }
}
