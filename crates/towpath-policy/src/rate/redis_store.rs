//! Budgets in a Redis server, by its clock.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt};
use redis::{
    AsyncConnectionConfig, Client, IntoConnectionInfo, RedisResult, Script,
    aio::MultiplexedConnection,
};
use tokio::{
    sync::OnceCell,
    time::{self, Instant},
};

use super::store::{Decision, Quota, RateRequest, RateStore, StoreError};

#[cfg(test)]
mod tests;

/// Budgets in a Redis server (5 or later, or one that speaks like it).
///
/// One script takes from a budget or says how long to wait, by the clock of the server, so
/// that the clocks of those who share it do not matter. Each budget is one key that expires
/// when it is full again; what is denied writes nothing. A failover that loses the last
/// writes grants at most one burst more.
///
/// Connects when it is asked for the first time, and again when the connection is lost or
/// does not answer in time. Between two attempts it says at once that it cannot be asked.
/// Clones share the connection.
#[derive(Clone)]
pub struct RedisStore(Arc<Server>);

struct Server {
    client: Client,
    script: Script,
    prefix: Arc<str>,
    timeout: Duration,
    pause: Duration,
    link: Mutex<Link>,
}

/// The connection, and when it is worth asking.
#[derive(Default)]
struct Link {
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

// === impl RedisStore ===

impl RedisStore {
    /// Budgets in the server at a URL, such as `redis://127.0.0.1`. Does not connect yet.
    ///
    /// # Errors
    /// Fails when the URL makes no sense.
    pub fn new(server: impl IntoConnectionInfo) -> Result<Self, StoreError> {
        Client::open(server)
            .map(Self::with_client)
            .map_err(StoreError::new)
    }

    /// Budgets in the server of a client, which may bring its own TLS and credentials.
    pub fn with_client(client: Client) -> Self {
        Self(Arc::new(Server {
            client,
            script: Script::new(include_str!("redis_store/take.lua")),
            prefix: "towpath:rate".into(),
            timeout: Duration::from_millis(500),
            pause: Duration::from_millis(250),
            link: Mutex::default(),
        }))
    }

    /// What the names of the keys start with; `towpath:rate` unless set.
    #[must_use]
    pub fn prefix(self, prefix: impl Into<Arc<str>>) -> Self {
        self.with(|server| server.prefix = prefix.into())
    }

    /// How long an answer may take, connecting included; 500 ms unless set.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        self.with(|server| server.timeout = timeout)
    }

    /// How long a server that failed is left alone; 250 ms unless set.
    #[must_use]
    pub fn pause(self, pause: Duration) -> Self {
        self.with(|server| server.pause = pause)
    }

    /// The same with one thing changed, and a connection of its own.
    fn with(self, change: impl FnOnce(&mut Server)) -> Self {
        let mut server = Arc::try_unwrap(self.0).unwrap_or_else(|shared| shared.unconnected());
        change(&mut server);
        Self(Arc::new(server))
    }
}

impl RateStore for RedisStore {
    fn acquire(&self, request: RateRequest) -> BoxFuture<'static, Result<Decision, StoreError>> {
        let server = self.0.clone();
        async move { server.acquire(&request).await }.boxed()
    }
}

/// Shows where the server is, and no password.
impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = self.0.client.get_connection_info().addr();
        f.debug_struct("RedisStore")
            .field("server", &format_args!("{server}"))
            .field("prefix", &self.0.prefix)
            .finish_non_exhaustive()
    }
}

// === impl Server ===

impl Server {
    fn unconnected(&self) -> Self {
        Self {
            client: self.client.clone(),
            script: self.script.clone(),
            prefix: self.prefix.clone(),
            timeout: self.timeout,
            pause: self.pause,
            link: Mutex::default(),
        }
    }

    async fn acquire(&self, request: &RateRequest) -> Result<Decision, StoreError> {
        let connection = self.start().map_err(StoreError::new)?;
        let asked = time::timeout(self.timeout, self.ask(&connection, request)).await;
        self.end(&connection, matches!(asked, Ok(Ok(_))));
        match asked {
            Ok(Ok(0)) => Ok(Decision::Admitted),
            Ok(Ok(micros)) => Ok(Decision::Wait(Duration::from_micros(micros))),
            Ok(Err(error)) => Err(StoreError::new(error)),
            Err(_) => Err(StoreError::new(Unreachable::Silent(self.timeout))),
        }
    }

    /// Runs the script; sends it when the server does not know it.
    async fn ask(&self, connection: &Connection, request: &RateRequest) -> RedisResult<u64> {
        let connection = connection.get_or_try_init(|| self.connect()).await?;
        let quantities = Quantities::of(request.quota, request.weight);
        let mut script = self.script.key(self.key(request));
        for quantity in quantities.0 {
            script.arg(quantity.to_string());
        }
        script.invoke_async(&mut connection.clone()).await
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

    /// Names and keys are quoted: no two of them look the same.
    fn key(&self, request: &RateRequest) -> String {
        let (prefix, name) = (&self.prefix, &request.name);
        match &request.key {
            Some(key) => format!("{prefix}:{name:?}:{key:?}"),
            None => format!("{prefix}:{name:?}"),
        }
    }

    /// The connection to ask on, unless the server failed a moment ago.
    fn start(&self) -> Result<Arc<Connection>, Unreachable> {
        let now = Instant::now();
        let mut link = self.link();
        match link.paused_until {
            Some(until) if now < until => return Err(Unreachable::Paused),
            // One tries whether it is back.
            Some(_) => link.paused_until = Some(now + self.timeout + self.pause),
            None => {}
        }
        Ok(link.connection.clone())
    }

    /// A connection that failed, or was silent, is not asked again.
    fn end(&self, connection: &Arc<Connection>, answered: bool) {
        let mut link = self.link();
        if !Arc::ptr_eq(&link.connection, connection) {
            return;
        }
        if answered {
            link.paused_until = None;
        } else {
            link.connection = Arc::default();
            link.paused_until = Some(Instant::now() + self.pause);
        }
    }

    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the script is told: earned in a microsecond, one token, to take, allowed to owe.
struct Quantities([u128; 4]);

// === impl Quantities ===

impl Quantities {
    /// Whole numbers, as small as they get: the script counts in floating point, which is
    /// exact for those below 2 to the power of 53.
    fn of(quota: Quota, weight: u32) -> Self {
        let earned = u128::from(quota.rate.count().max(1)) * 1000;
        let period = quota.rate.period().as_nanos().max(1);
        let common = common_divisor(earned, period);
        let token = period / common;
        let spare = quota.burst.saturating_sub(weight);
        let room = if quota.spaced { 0 } else { spare };
        let tokens = |count: u32| u128::from(count) * token;
        Self([earned / common, token, tokens(weight), tokens(room)])
    }
}

fn common_divisor(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}
