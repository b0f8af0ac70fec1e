//! The system at the other side of a source or a sink.

use std::sync::Arc;

/// The kind of system that is none: what never left the process.
const OWN_SYSTEM: &str = "towpath";

/// What is at the other side of a source or a sink, as traces name it.
///
/// ```
/// use towpath_core::Peer;
///
/// let peer = Peer::new("kafka").destination("orders");
/// assert_eq!((peer.system(), peer.destination_name()), ("kafka", Some("orders")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    system: &'static str,
    destination: Option<Arc<str>>,
}

impl Peer {
    /// A system by the name that OpenTelemetry's conventions have for it: `kafka`, `nats`.
    pub fn new(system: &'static str) -> Self {
        Self {
            system,
            destination: None,
        }
    }

    /// With the topic, queue, stream or table.
    #[must_use]
    pub fn destination(mut self, name: impl Into<Arc<str>>) -> Self {
        self.destination = Some(name.into());
        self
    }

    /// The kind of system; `towpath` where it is none.
    pub fn system(&self) -> &'static str {
        self.system
    }

    /// The topic, queue, stream or table, where there is one.
    pub fn destination_name(&self) -> Option<&str> {
        self.destination.as_deref()
    }

    /// The same, as it is shared: without a copy.
    pub fn shared_destination(&self) -> Option<Arc<str>> {
        self.destination.clone()
    }
}

impl Default for Peer {
    /// This process itself.
    fn default() -> Self {
        Self::new(OWN_SYSTEM)
    }
}
