//! Further properties of the client, and those that are not for the user to set.

use std::{collections::BTreeMap, fmt};

use rdkafka::{ClientConfig, error::KafkaError};
use towpath_options::Problems;

/// A property that is set from an option, and which one.
pub(super) type Owned = (&'static str, &'static str);

/// Those of sources and of sinks.
const OWNED: [Owned; 25] = [
    ("bootstrap.servers", "brokers"),
    ("metadata.broker.list", "brokers"),
    ("client.id", "client_id"),
    ("socket.timeout.ms", "socket_timeout"),
    ("socket.connection.setup.timeout.ms", "socket_timeout"),
    ("security.protocol", "security.protocol"),
    ("sasl.mechanism", "security.mechanism"),
    ("sasl.mechanisms", "security.mechanism"),
    ("sasl.username", "security.user"),
    ("sasl.password", "security.password"),
    ("ssl.ca.location", "security.ca_file"),
    ("ssl.certificate.location", "security.certificate_file"),
    ("ssl.key.location", "security.key_file"),
    ("ssl.key.password", "security.key_password"),
    ("metadata.recovery.strategy", ""),
    ("enabled_events", ""),
    ("log.queue", ""),
    ("opaque", ""),
    ("default_topic_conf", ""),
    ("error_cb", ""),
    ("stats_cb", ""),
    ("log_cb", ""),
    ("throttle_cb", ""),
    ("interceptors", ""),
    ("plugin.library.paths", ""),
];

/// Reports what may not be set here, and what the client does not take.
pub(super) fn check(
    properties: &BTreeMap<String, String>,
    owned: &[Owned],
    problems: &mut Problems,
) {
    problems.within("properties", |problems| {
        for (name, value) in properties {
            match OWNED.iter().chain(owned).find(|(known, _)| known == name) {
                Some((_, "")) => problems.add(name, "is not for you to set"),
                Some((_, option)) => {
                    problems.add(name, format!("is set from the option `{option}`"));
                }
                None => check_one(name, value, problems),
            }
        }
    });
}

/// Reports the options that the client does not take, for limits of its own.
pub(super) fn check_options(config: &ClientConfig, owned: &[Owned], problems: &mut Problems) {
    if !problems.is_empty() {
        return;
    }
    let Err(refused) = config.create_native_config() else {
        return;
    };
    let KafkaError::ClientConfig(_, reason, name, _) = refused else {
        return problems.add("", "is refused by the client");
    };
    let option = OWNED.iter().chain(owned).find(|(known, _)| *known == name);
    let path = option.map_or("", |(_, option)| option);
    if is_secret(&name) {
        problems.add(path, "is refused by the client");
    } else {
        problems.add(path, reason);
    }
}

fn check_one(name: &str, value: &str, problems: &mut Problems) {
    let mut config = ClientConfig::new();
    config.set(name, value);
    let refused = config.create_native_config().err();
    match refused {
        Some(KafkaError::ClientConfig(_, reason, ..)) if !is_secret(name) => {
            problems.add(name, reason);
        }
        Some(_) => problems.add(name, "is refused by the client"),
        None => {}
    }
}

pub(super) fn set_unless_given(
    config: &mut ClientConfig,
    given: &BTreeMap<String, String>,
    defaults: &[(&str, &str)],
) {
    for (name, value) in defaults {
        if !given.contains_key(*name) {
            config.set(*name, *value);
        }
    }
}

/// Whether a property holds what nobody else may see.
pub(super) fn is_secret(name: &str) -> bool {
    ["password", "secret", "pem", "token", "jaas", "oauthbearer"]
        .iter()
        .any(|word| name.contains(word))
}

/// Properties as they may be shown.
pub(super) struct Shown<'a>(pub(super) &'a BTreeMap<String, String>);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.iter().map(|(name, value)| {
            let value = if is_secret(name) { "***" } else { value };
            (name, value)
        });
        f.debug_map().entries(shown).finish()
    }
}
