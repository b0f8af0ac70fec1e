//! A Redis server of a test's own, which ends with the test however that ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use redis::Connection;
use towpath_policy::RedisStore;
use towpath_test_servers::{Redis, or_not_run};

/// Longer than a busy machine stands still.
pub(crate) const ANSWERS: Duration = Duration::from_secs(5);

pub(crate) struct Server(Redis);

impl Server {
    /// A server that answers; `None` where the tests are told to do without.
    #[must_use]
    pub(crate) fn start() -> Option<Self> {
        or_not_run(Redis::start()).map(Self)
    }

    /// Starts it again, empty, where it was.
    pub(crate) fn restart(&mut self) {
        self.0.restart().unwrap();
    }

    /// Kills it. Whoever is connected notices or not.
    pub(crate) fn kill(&mut self) {
        self.0.kill();
    }

    pub(crate) fn url(&self) -> String {
        self.0.url()
    }

    pub(crate) fn store(&self) -> RedisStore {
        RedisStore::new(self.url()).unwrap().timeout(ANSWERS)
    }

    pub(crate) fn connection(&self) -> Connection {
        let client = redis::Client::open(self.url()).unwrap();
        client.get_connection().unwrap()
    }
}
