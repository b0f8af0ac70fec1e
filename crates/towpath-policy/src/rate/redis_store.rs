//! Budgets in a Redis server, by its clock.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, FutureExt};
use redis::{Client, IntoConnectionInfo, Script};

use super::store::{Decision, Quota, RateRequest, RateStore, StoreError};
use crate::{BoxError, redis_link::RedisLink};

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

#[derive(Clone)]
struct Server {
    link: Arc<RedisLink>,
    script: Script,
    prefix: Arc<str>,
}

/// How long an answer may take, unless said otherwise.
const TIMEOUT: Duration = Duration::from_millis(500);
/// How long a server that failed is left alone, unless said otherwise.
const PAUSE: Duration = Duration::from_millis(250);

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
            link: Arc::new(RedisLink::new(client, TIMEOUT, PAUSE)),
            script: Script::new(include_str!("redis_store/take.lua")),
            prefix: "towpath:rate".into(),
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
        self.with(|server| server.link = server.link.with_timeout(timeout).into())
    }

    /// How long a server that failed is left alone; 250 ms unless set.
    #[must_use]
    pub fn pause(self, pause: Duration) -> Self {
        self.with(|server| server.link = server.link.with_pause(pause).into())
    }

    fn with(self, change: impl FnOnce(&mut Server)) -> Self {
        let mut server = Arc::unwrap_or_clone(self.0);
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
        f.debug_struct("RedisStore")
            .field("link", &self.0.link)
            .field("prefix", &self.0.prefix)
            .finish_non_exhaustive()
    }
}

// === impl Server ===

impl Server {
    async fn acquire(&self, request: &RateRequest) -> Result<Decision, StoreError> {
        match self.ask(request).await.map_err(StoreError::new)? {
            0 => Ok(Decision::Admitted),
            micros => Ok(Decision::Wait(Duration::from_micros(micros))),
        }
    }

    /// Runs the script; sends it when the server does not know it.
    async fn ask(&self, request: &RateRequest) -> Result<u64, BoxError> {
        let quantities = Quantities::of(request.quota, request.weight);
        let mut script = self.script.key(self.key(request));
        for quantity in quantities.0 {
            script.arg(quantity.to_string());
        }
        let link = &self.link;
        link.ask(async |mut connection| script.invoke_async(&mut connection).await)
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
