//! What the server says of a delivery, in the subject that its outcome is sent to.

use std::time::Duration;

/// What the server says of one delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeliveryInfo<'a> {
    pub(crate) consumer: &'a str,
    /// How often the message was delivered, this time included.
    pub(crate) delivered: u32,
    pub(crate) stream_sequence: u64,
    /// When the stream has stored it, since the beginning of 1970.
    pub(crate) published: Duration,
    /// How many messages wait for the consumer behind this one.
    pub(crate) pending: u64,
}

impl<'a> DeliveryInfo<'a> {
    /// Reads it; `None` where the subject is none of JetStream's.
    ///
    /// Two forms are in use: `$JS.ACK.<stream>.<consumer>.<delivered>.<stream sequence>.
    /// <consumer sequence>.<time>.<pending>`, and the same with domain and account before the
    /// stream and perhaps more behind.
    pub(crate) fn read(subject: &'a str) -> Option<Self> {
        let rest = subject.strip_prefix("$JS.ACK.")?;
        let parts: Vec<&str> = rest.split('.').collect();
        let parts = match parts.len() {
            7 => &parts[..],
            9.. => &parts[2..],
            _ => return None,
        };
        let [_, consumer, delivered, sequence, _, time, pending, ..] = parts else {
            return None;
        };
        Some(Self {
            consumer,
            delivered: delivered.parse().ok()?,
            stream_sequence: sequence.parse().ok()?,
            published: Duration::from_nanos(time.parse().ok()?),
            pending: pending.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let expected = DeliveryInfo {
            consumer: "enricher",
            delivered: 3,
            stream_sequence: 17,
            published: Duration::from_nanos(1_795_272_832_875_187_054),
            pending: 5,
        };
        for subject in [
            "$JS.ACK.ORDERS.enricher.3.17.21.1795272832875187054.5",
            "$JS.ACK.hub.ACCHASH.ORDERS.enricher.3.17.21.1795272832875187054.5",
            "$JS.ACK._.ACCHASH.ORDERS.enricher.3.17.21.1795272832875187054.5.random",
        ] {
            assert_eq!(DeliveryInfo::read(subject), Some(expected), "{subject}");
        }
    }

    #[test]
    fn anything_else_is_none() {
        for subject in [
            "",
            "_INBOX.abc.1",
            "$JS.ACK.ORDERS.enricher",
            "$JS.ACK.ORDERS.enricher.x.17.21.1.5",
            "$JS.ACK.ORDERS.enricher.3.17.21.-1.5",
            "$JS.ACK.a.ORDERS.enricher.3.17.21.1",
        ] {
            assert_eq!(DeliveryInfo::read(subject), None, "{subject}");
        }
    }
}
