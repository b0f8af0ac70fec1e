//! Which traces are taken, and how they travel.

use opentelemetry::propagation::TextMapCompositePropagator;
use opentelemetry_sdk::{
    propagation::{BaggagePropagator, TraceContextPropagator},
    trace::Sampler,
};

use super::{Given, variables::Variables};

/// The part of the messages that is traced, by default: see
/// [`Tracing::ratio`](crate::traces::Tracing::ratio).
const RATIO: f64 = 0.01;

/// Which traces are taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::otlp) struct Sampling {
    /// Of those that nobody else has decided on.
    pub(in crate::otlp) ratio: f64,
    /// Whether those that begin elsewhere are left to whoever began them.
    pub(in crate::otlp) parent_based: bool,
}

/// How traces travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::otlp) enum Propagator {
    TraceContext,
    Baggage,
}

// === impl Sampling ===

impl Sampling {
    pub(super) fn read(given: &Given, from: &mut Variables<'_>) -> Self {
        let told = Self::told(from);
        let Some(ratio) = given.ratio else {
            return told;
        };
        if !is_ratio(ratio) {
            from.problem("Setup::ratio", ratio.to_string(), "a number from 0 to 1");
        }
        Self {
            ratio,
            parent_based: true,
        }
    }

    fn told(from: &mut Variables<'_>) -> Self {
        let arg = from.read(
            &["OTEL_TRACES_SAMPLER_ARG".to_owned()],
            "a number from 0 to 1",
            |value| value.parse().ok().filter(|ratio| is_ratio(*ratio)),
        );
        let expected =
            "`always_on`, `always_off`, `traceidratio`, or one of these after `parentbased_`";
        let names = ["OTEL_TRACES_SAMPLER".to_owned()];
        let told = from.read(&names, expected, |value| {
            let root = value.strip_prefix("parentbased_");
            let ratio = match root.unwrap_or(value) {
                "always_on" => 1.0,
                "always_off" => 0.0,
                "traceidratio" => arg.unwrap_or(1.0),
                _ => return None,
            };
            Some(Self {
                ratio,
                parent_based: root.is_some(),
            })
        });
        told.unwrap_or(Self {
            ratio: RATIO,
            parent_based: true,
        })
    }

    /// Whether nothing is traced, whatever others have decided.
    pub(in crate::otlp) fn is_off(self) -> bool {
        self.ratio <= 0.0 && !self.parent_based
    }

    /// For spans that are not Towpath's.
    pub(in crate::otlp) fn sampler(self) -> Sampler {
        let root = Sampler::TraceIdRatioBased(self.ratio);
        if self.parent_based {
            return Sampler::ParentBased(Box::new(root));
        }
        root
    }
}

fn is_ratio(ratio: f64) -> bool {
    (0.0..=1.0).contains(&ratio)
}

// === impl Propagator ===

/// `tracecontext` and `baggage` by default.
pub(super) fn propagators(from: &mut Variables<'_>) -> Vec<Propagator> {
    let Some(told) = from.text("OTEL_PROPAGATORS") else {
        return vec![Propagator::TraceContext, Propagator::Baggage];
    };
    let mut known = Vec::new();
    for name in told.split(',').map(str::trim) {
        let propagator = match name {
            "tracecontext" => Propagator::TraceContext,
            "baggage" => Propagator::Baggage,
            "none" | "" => continue,
            _ => {
                from.warn(format!(
                    "`{name}` in OTEL_PROPAGATORS is left out: it must be `tracecontext`, \
                     `baggage` or `none`"
                ));
                continue;
            }
        };
        if !known.contains(&propagator) {
            known.push(propagator);
        }
    }
    known
}

/// All of them as one.
pub(in crate::otlp) fn composite(propagators: &[Propagator]) -> TextMapCompositePropagator {
    let each = propagators.iter().map(|propagator| match propagator {
        Propagator::TraceContext => Box::new(TraceContextPropagator::new()) as Box<_>,
        Propagator::Baggage => Box::new(BaggagePropagator::new()) as Box<_>,
    });
    TextMapCompositePropagator::new(each.collect())
}
