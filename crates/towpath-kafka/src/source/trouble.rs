//! What is wrong now, as far as the client has said.

use std::collections::BTreeSet;

use rdkafka::error::RDKafkaErrorCode as Code;

use crate::{KafkaError, error::About, options::KafkaSourceOptions};

/// How many figures without any broker make sure that there is none.
const SILENT: u32 = 3;

/// What is wrong now.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    /// No broker, or none that lets us in; until one does.
    reach: Option<KafkaError>,
    /// What keeps the group from its partitions; until it has some.
    group: Option<KafkaError>,
    /// Why the last client could not go on, until another one has partitions.
    client: Option<KafkaError>,
    /// What one broker said last.
    last: Option<String>,
    /// How many figures in a row knew of no broker.
    silent: u32,
}

// === impl Troubles ===

impl Troubles {
    /// Takes note of an error of the client; whether anything has changed.
    pub(super) fn note(&mut self, code: Code, reason: &str, options: &KafkaSourceOptions) -> bool {
        let brokers = options.brokers.clone();
        let reason = options.security.scrub(reason);
        match About::of(code) {
            About::Broker => {
                self.last = Some(reason);
                return false;
            }
            About::AllBrokers => {
                let known = self.reach.take();
                let last = self.last.clone().unwrap_or(reason);
                // Brokers that refuse are brokers that are down, to the client.
                let refused = known.filter(|k| matches!(k, KafkaError::Refused { .. }));
                let away = KafkaError::Unreachable {
                    brokers,
                    reason: last,
                };
                self.reach = Some(refused.unwrap_or(away));
            }
            About::Security => self.reach = Some(KafkaError::Refused { brokers, reason }),
            About::Topic => self.group = Some(KafkaError::Topic { reason }),
            About::Group => {
                let group = options.group.clone();
                self.group = Some(KafkaError::Group { group, reason });
            }
            About::Start => self.group = Some(KafkaError::NoPosition { reason }),
            About::Client => self.client = Some(KafkaError::Client { reason }),
            About::Nothing => return false,
        }
        true
    }

    /// Takes note of the brokers that are there, as the figures have it; whether anything
    /// has changed.
    pub(super) fn note_brokers(&mut self, up: usize, options: &KafkaSourceOptions) -> bool {
        if up > 0 {
            self.silent = 0;
            self.last = None;
            return self.reach.take().is_some();
        }
        self.silent = self.silent.saturating_add(1);
        if self.silent < SILENT || self.reach.is_some() {
            return false;
        }
        let silence = "none is connected".to_owned();
        self.reach = Some(KafkaError::Unreachable {
            brokers: options.brokers.clone(),
            reason: self.last.clone().unwrap_or(silence),
        });
        true
    }

    /// A broker has answered, and the group has partitions.
    pub(super) fn clear_assigned(&mut self) {
        self.reach = None;
        self.group = None;
        self.client = None;
        self.silent = 0;
    }

    pub(super) fn set_client(&mut self, error: KafkaError) {
        self.client = Some(error);
    }

    /// What keeps messages from coming. What keeps some of several topics away is said once,
    /// as the others come nevertheless.
    pub(super) fn current(&mut self, assigned: bool) -> Option<KafkaError> {
        if let Some(error) = self.reach.as_ref().or(self.client.as_ref()) {
            return Some(error.clone());
        }
        match &self.group {
            Some(KafkaError::Topic { .. }) if assigned => self.group.take(),
            other => other.clone(),
        }
    }
}

/// Brokers that are there: by name, those of the bootstrap list included.
pub(super) fn count_up<'a>(states: impl Iterator<Item = (&'a str, &'a str)>) -> usize {
    let up = states.filter(|(_, state)| *state == "UP");
    up.map(|(name, _)| name).collect::<BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Security;

    fn options() -> KafkaSourceOptions {
        let security = Security::plain("app", "hush");
        KafkaSourceOptions::new("one:9092", "billing", ["orders"]).security(security)
    }

    fn said(troubles: &mut Troubles, assigned: bool) -> String {
        let error = troubles.current(assigned);
        error.map_or_else(String::new, |error| error.to_string())
    }

    #[test]
    fn brokers_that_are_away_are_told_with_what_the_client_said_and_until_one_is_back() {
        let (mut troubles, options) = (Troubles::default(), options());
        assert!(!troubles.note(Code::BrokerTransportFailure, "refused", &options));
        assert_eq!(troubles.current(true), None, "others may be there");
        assert!(troubles.note(Code::AllBrokersDown, "1/1 brokers are down", &options));
        let text = said(&mut troubles, true);
        assert_eq!(text, "no broker of `brokers` one:9092 answers: refused");
        assert!(troubles.note_brokers(1, &options));
        assert_eq!(troubles.current(true), None);
    }

    #[test]
    fn brokers_that_hang_without_an_error_are_noticed_by_the_figures() {
        let (mut troubles, options) = (Troubles::default(), options());
        assert!(!troubles.note_brokers(0, &options));
        assert!(!troubles.note_brokers(0, &options));
        assert!(troubles.note_brokers(0, &options));
        assert!(said(&mut troubles, true).contains("none is connected"));
    }

    #[test]
    fn brokers_that_refuse_name_the_security_and_never_the_password() {
        let (mut troubles, options) = (Troubles::default(), options());
        troubles.note(Code::Authentication, "app with hush is nobody", &options);
        troubles.note(Code::AllBrokersDown, "1/1 brokers are down", &options);
        let text = said(&mut troubles, false);
        assert_eq!(
            text,
            "the brokers one:9092 refuse `security`: app with *** is nobody"
        );
    }

    #[test]
    fn a_topic_that_is_missing_is_told_once_while_others_come() {
        let (mut troubles, options) = (Troubles::default(), options());
        troubles.note(
            Code::UnknownTopicOrPartition,
            "orders: no such topic",
            &options,
        );
        assert!(said(&mut troubles, false).contains("`topics`: orders"));
        assert!(
            said(&mut troubles, false).contains("orders"),
            "nothing comes"
        );
        assert!(said(&mut troubles, true).contains("orders"));
        assert_eq!(said(&mut troubles, true), "");
    }

    #[test]
    fn a_group_that_has_partitions_again_has_no_trouble() {
        let (mut troubles, options) = (Troubles::default(), options());
        troubles.note(Code::GroupAuthorizationFailed, "denied", &options);
        assert!(said(&mut troubles, false).contains("`group` billing"));
        troubles.clear_assigned();
        assert_eq!(troubles.current(false), None);
        assert!(!troubles.note(Code::QueueFull, "nothing of ours", &options));
    }
}
