//! What sources and sinks tell the client alike.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::ClientConfig;
use towpath_options::Problems;

use super::{Security, properties};

/// The longest time that the client takes, in milliseconds.
const LONGEST: u128 = i32::MAX as u128;

/// What sources and sinks have in common.
pub(super) struct Common<'a> {
    pub(super) brokers: &'a str,
    pub(super) client_id: &'a str,
    pub(super) socket_timeout: Duration,
    pub(super) security: &'a Security,
    pub(super) properties: &'a BTreeMap<String, String>,
}

impl Common<'_> {
    pub(super) fn check(&self, problems: &mut Problems) {
        check_brokers(self.brokers, problems);
        problems.expect_time("socket_timeout", self.socket_timeout);
        if !self.socket_timeout.is_zero() && self.socket_timeout < Duration::from_millis(10) {
            problems.add("socket_timeout", "must be at least 10ms");
        }
        problems.within("security", |problems| self.security.check(problems));
    }

    /// Further properties first: those that are ours are set after them.
    pub(super) fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        let further = self.properties.iter();
        config.extend(further.map(|(name, value)| (name.clone(), value.clone())));
        let timeout = millis(self.socket_timeout);
        config.set("bootstrap.servers", self.brokers);
        config.set("client.id", self.client_id);
        config.set("socket.timeout.ms", &timeout);
        config.set(
            "socket.connection.setup.timeout.ms",
            at_least(self.socket_timeout, 1_000),
        );
        config.set("socket.keepalive.enable", "true");
        // Brokers that come back may say that there are no brokers yet. The client takes that
        // literally, and without this it would wait for them for ever.
        config.set("metadata.recovery.strategy", "rebootstrap");
        let defaults = [
            // Whenever no broker is left, the client begins anew with this pause.
            ("reconnect.backoff.ms", "250"),
            // Up to 10 s between attempts to connect is too long for who waits.
            ("reconnect.backoff.max.ms", "2000"),
            // A topic that is created later is found within seconds, not minutes.
            ("topic.metadata.refresh.interval.ms", "10000"),
        ];
        properties::set_unless_given(&mut config, self.properties, &defaults);
        self.security.configure(&mut config);
        config
    }
}

fn check_brokers(brokers: &str, problems: &mut Problems) {
    let is_whole = |broker: &str| !broker.trim().is_empty() && !broker.contains(['@', ' ']);
    if brokers.is_empty() {
        problems.add(
            "brokers",
            "must name at least one broker, such as \"localhost:9092\"",
        );
    } else if !brokers.split(',').all(is_whole) {
        problems.add("brokers", "must be addresses with commas between them");
    }
}

/// A time as the client wants it: in whole milliseconds, one at least.
pub(crate) fn millis(time: Duration) -> String {
    time.as_millis().clamp(1, LONGEST).to_string()
}

fn at_least(time: Duration, low: u64) -> String {
    millis(time.max(Duration::from_millis(low)))
}
