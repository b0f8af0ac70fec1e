//! What a pipeline promises for each message, and why no more.

use towpath_core::{Guarantee, Redelivery, SinkPromise, StageName};

/// What sources, operators and sinks said while the pipeline was built.
#[derive(Clone, Debug, Default)]
pub(crate) struct Promises {
    sources: Vec<(StageName, Redelivery)>,
    sinks: Vec<(StageName, SinkPromise)>,
    /// What acknowledges early, or lets copies go.
    leaks: Vec<String>,
}

impl Promises {
    pub(crate) fn source(&mut self, name: StageName, redelivery: Redelivery) {
        self.sources.push((name, redelivery));
    }

    pub(crate) fn sink(&mut self, name: StageName, promise: SinkPromise) {
        self.sinks.push((name, promise));
    }

    pub(crate) fn leak(&mut self, reason: impl Into<String>) {
        self.leaks.push(reason.into());
    }

    pub(crate) fn join(&mut self, other: Self) {
        self.sources.extend(other.sources);
        self.sinks.extend(other.sinks);
        self.leaks.extend(other.leaks);
    }

    /// Whether every source delivers again what is given back, and how far.
    pub(crate) fn redelivery(&self) -> Redelivery {
        let all = self.sources.iter().map(|(_, redelivery)| *redelivery);
        all.min().unwrap_or_default()
    }

    /// What all together promise, and why no more.
    pub(crate) fn guarantee(&self) -> (Guarantee, Vec<String>) {
        let mut reasons = self.leaks.clone();
        let mut promised = if reasons.is_empty() {
            Guarantee::EffectivelyOnce
        } else {
            Guarantee::AtMostOnce
        };
        for (name, redelivery) in &self.sources {
            if *redelivery != Redelivery::Durable {
                reasons.push(format!(
                    "source {name} does not deliver again after a crash"
                ));
                promised = promised.min(Guarantee::AtMostOnce);
            }
        }
        for (name, promise) in &self.sinks {
            if *promise == SinkPromise::Plain {
                reasons.push(format!("sink {name} shows a message that comes twice"));
                promised = promised.min(Guarantee::AtLeastOnce);
            }
        }
        (promised, reasons)
    }
}
