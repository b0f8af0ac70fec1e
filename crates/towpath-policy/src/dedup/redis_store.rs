//! Keys in a Redis server, by its clock.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, FutureExt};
use redis::{Client, IntoConnectionInfo, Script, aio::MultiplexedConnection};

use super::{Claim, Claimed, DedupStore};
use crate::{BoxError, redis_link::RedisLink};

/// Keeps the keys of a dedup in a Redis server (5 or later, or one that speaks like it).
///
/// Each key is one key there, which expires with its lease or its time to live, by the clock
/// of the server. A failover that loses the last writes may let a call be made once more.
///
/// Connects when it is asked for the first time, and again when the connection is lost or
/// does not answer in time. Between two attempts it says at once that it cannot be asked.
/// Clones share the connection.
#[derive(Clone)]
pub struct RedisDedupStore(Arc<Server>);

struct Server {
    link: RedisLink,
    prefix: Arc<str>,
    claim: Script,
    renew: Script,
    release: Script,
}

// === impl RedisDedupStore ===

impl RedisDedupStore {
    /// Keys in the server at a URL, such as `redis://127.0.0.1`. Does not connect yet.
    ///
    /// # Errors
    /// Fails when the URL makes no sense.
    pub fn new(server: impl IntoConnectionInfo) -> Result<Self, BoxError> {
        Ok(Self::with_client(Client::open(server)?))
    }

    /// Keys in the server of a client, which may bring its own TLS and credentials.
    pub fn with_client(client: Client) -> Self {
        let link = RedisLink::new(
            client,
            Duration::from_millis(500),
            Duration::from_millis(250),
        );
        Self(Arc::new(Server::new(link, "towpath:dedup".into())))
    }

    /// What the names of the keys start with; `towpath:dedup` unless set.
    #[must_use]
    pub fn prefix(self, prefix: impl Into<Arc<str>>) -> Self {
        let link = self.0.link.with_timeout(self.0.link.timeout());
        Self(Arc::new(Server::new(link, prefix.into())))
    }

    /// How long an answer may take, connecting included; 500 ms unless set.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        let link = self.0.link.with_timeout(timeout);
        Self(Arc::new(Server::new(link, self.0.prefix.clone())))
    }
}

impl DedupStore for RedisDedupStore {
    fn claim(
        &self,
        claim: Claim,
        lease: Duration,
    ) -> BoxFuture<'static, Result<Claimed, BoxError>> {
        let server = self.0.clone();
        async move { server.claim(&claim, lease).await }.boxed()
    }

    fn renew(&self, claim: Claim, lease: Duration) -> BoxFuture<'static, Result<(), BoxError>> {
        let server = self.0.clone();
        async move { server.renew(&claim, lease).await }.boxed()
    }

    fn complete(&self, claim: Claim, ttl: Duration) -> BoxFuture<'static, Result<(), BoxError>> {
        let server = self.0.clone();
        async move { server.complete(&claim, ttl).await }.boxed()
    }

    fn release(&self, claim: Claim) -> BoxFuture<'static, Result<(), BoxError>> {
        let server = self.0.clone();
        async move { server.release(&claim).await }.boxed()
    }
}

impl fmt::Debug for RedisDedupStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisDedupStore")
            .field("link", &self.0.link)
            .field("prefix", &self.0.prefix)
            .finish_non_exhaustive()
    }
}

// === impl Server ===

impl Server {
    fn new(link: RedisLink, prefix: Arc<str>) -> Self {
        Self {
            link,
            prefix,
            claim: Script::new(include_str!("redis_store/claim.lua")),
            renew: Script::new(include_str!("redis_store/renew.lua")),
            release: Script::new(include_str!("redis_store/release.lua")),
        }
    }

    async fn claim(&self, claim: &Claim, lease: Duration) -> Result<Claimed, BoxError> {
        let mut script = self.claim.key(self.key(claim));
        script.arg(holder(claim));
        script.arg(owner(claim)).arg(millis(lease));
        script.arg(u8::from(claim.again));
        let answer: i64 = self
            .link
            .ask(async |mut on: MultiplexedConnection| script.invoke_async(&mut on).await)
            .await?;
        Ok(match u64::try_from(answer) {
            Ok(0) => Claimed::Yes,
            Ok(left) => Claimed::Held(Duration::from_millis(left)),
            Err(_) => Claimed::Done,
        })
    }

    async fn renew(&self, claim: &Claim, lease: Duration) -> Result<(), BoxError> {
        let mut script = self.renew.key(self.key(claim));
        script.arg(holder(claim)).arg(millis(lease));
        self.link
            .ask(async |mut on: MultiplexedConnection| script.invoke_async(&mut on).await)
            .await
    }

    async fn complete(&self, claim: &Claim, ttl: Duration) -> Result<(), BoxError> {
        let mut set = redis::cmd("SET");
        set.arg(self.key(claim)).arg("done");
        set.arg("PX").arg(millis(ttl));
        self.link
            .ask(async |mut on: MultiplexedConnection| set.query_async(&mut on).await)
            .await
    }

    async fn release(&self, claim: &Claim) -> Result<(), BoxError> {
        let mut script = self.release.key(self.key(claim));
        script.arg(holder(claim));
        self.link
            .ask(async |mut on: MultiplexedConnection| script.invoke_async(&mut on).await)
            .await
    }

    /// Names and keys are quoted: no two of them look the same.
    fn key(&self, claim: &Claim) -> String {
        let Self { prefix, .. } = self;
        format!("{prefix}:{:?}:{:?}", claim.name, claim.key)
    }
}

/// What stands in the server while the claim holds.
fn holder(claim: &Claim) -> String {
    format!("{:x}:{:x}", claim.owner, claim.number)
}

/// What all claims of an owner begin with.
fn owner(claim: &Claim) -> String {
    format!("{:x}:", claim.owner)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Key;

    fn claim(name: &str, key: impl Into<Key>) -> Claim {
        Claim::new(name, key, 1, 2)
    }

    #[test]
    fn keys_of_different_names_are_different() {
        let store = RedisDedupStore::new("redis://localhost").unwrap();
        let claims = [
            claim("a", 7_u64),
            claim("a", "7"),
            claim("a\":\"7", "7"),
            claim("a:7", "7"),
        ];
        let mut keys = claims.map(|claim| store.0.key(&claim));
        assert_eq!(keys[0], "towpath:dedup:\"a\":7");
        keys.sort();
        assert!(keys.windows(2).all(|two| two[0] != two[1]), "{keys:?}");
    }

    #[test]
    fn an_owner_is_told_from_those_that_look_alike() {
        let of = |owner| Claim::new("a", 7_u64, owner, 3);
        assert!(holder(&of(0x1a)).starts_with(&owner(&of(0x1a))));
        assert!(!holder(&of(0x1ab)).starts_with(&owner(&of(0x1a))));
    }

    #[test]
    fn no_password_is_printed() {
        let store = RedisDedupStore::new("redis://user:secret@localhost:7/").unwrap();
        let printed = format!("{:?}", store.prefix("p"));
        assert!(printed.contains("localhost:7"), "{printed}");
        assert!(!printed.contains("secret"), "{printed}");
    }

    #[test]
    fn no_time_is_too_short_for_the_server() {
        assert_eq!(millis(Duration::from_nanos(1)), 1);
    }
}
