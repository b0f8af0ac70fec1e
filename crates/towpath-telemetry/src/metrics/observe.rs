//! Figures through a meter provider that the user has anyway.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use opentelemetry::{
    KeyValue,
    metrics::{AsyncInstrumentBuilder, Meter},
};
use tokio::runtime::Handle;

use super::{Family, Kind, Metric, Sample, Value, catalog};
use crate::Monitor;

/// Shows all figures of a monitor to the readers of a meter provider, for as long as the
/// provider lives.
///
/// For users who have a provider of their own; the one call of `otlp` needs none. Each metric of the
/// [catalog] becomes an observable instrument of that name and kind. There is no observable
/// histogram in OpenTelemetry: of those only how many figures there were (`.count`) and their
/// sum (`.sum`) are shown. Called in a tokio runtime, the figures of that runtime are shown too.
///
/// ```
/// use opentelemetry::global;
/// use towpath_telemetry::{Monitor, metrics};
///
/// let monitor = Monitor::new();
/// metrics::observe(&global::meter("towpath"), &monitor);
/// ```
pub fn observe(meter: &Meter, monitor: &Monitor) {
    let figures = Arc::new(Figures {
        monitor: monitor.clone(),
        runtime: Handle::try_current().ok(),
        last: Mutex::default(),
    });
    for metric in catalog::ALL {
        instruments(meter, metric, &figures);
    }
}

fn instruments(meter: &Meter, metric: &'static Metric, figures: &Arc<Figures>) {
    let of = |name: String| Instrument {
        name,
        metric,
        figures: Arc::clone(figures),
    };
    let whole = of(metric.name.to_owned());
    match metric.kind {
        Kind::Counter if metric.unit == "s" => {
            let counter = meter.f64_observable_counter(metric.name);
            whole
                .shown(counter, metric.unit, |value| Some(number(value)))
                .build();
        }
        Kind::Counter => {
            let counter = meter.u64_observable_counter(metric.name);
            whole.shown(counter, metric.unit, count).build();
        }
        Kind::UpDown => {
            let up_down = meter.i64_observable_up_down_counter(metric.name);
            whole.shown(up_down, metric.unit, signed).build();
        }
        Kind::Gauge => {
            let gauge = meter.f64_observable_gauge(metric.name);
            whole
                .shown(gauge, metric.unit, |value| Some(number(value)))
                .build();
        }
        Kind::Histogram(_) => {
            let (counts, sums) = (
                of(format!("{}.count", metric.name)),
                of(format!("{}.sum", metric.name)),
            );
            let counter = meter.u64_observable_counter(counts.name.clone());
            counts.shown(counter, "{figure}", count).build();
            let counter = meter.f64_observable_counter(sums.name.clone());
            sums.shown(counter, metric.unit, |value| Some(number(value)))
                .build();
        }
    }
}

/// How many; of a histogram, how many figures.
fn count(value: &Value) -> Option<u64> {
    match value {
        Value::Count(count) | Value::Distribution { count, .. } => Some(*count),
        Value::Number(_) => None,
    }
}

fn signed(value: &Value) -> Option<i64> {
    count(value).map(|count| i64::try_from(count).unwrap_or(i64::MAX))
}

/// How much; of a histogram, the sum.
#[expect(clippy::cast_precision_loss, reason = "a gauge, not an account")]
fn number(value: &Value) -> f64 {
    match value {
        Value::Count(count) => *count as f64,
        Value::Number(number) | Value::Distribution { sum: number, .. } => *number,
    }
}

/// An instrument of the user's meter.
struct Instrument {
    name: String,
    metric: &'static Metric,
    figures: Arc<Figures>,
}

impl Instrument {
    fn shown<'a, I, M: 'static>(
        self,
        builder: AsyncInstrumentBuilder<'a, I, M>,
        unit: &'static str,
        read: fn(&Value) -> Option<M>,
    ) -> AsyncInstrumentBuilder<'a, I, M> {
        let builder = builder.with_description(self.metric.help).with_unit(unit);
        builder.with_callback(move |shown| {
            let families = self.figures.of(&self.name);
            let named = families
                .iter()
                .filter(|family| family.metric.name == self.metric.name);
            for sample in named.flat_map(|family| &family.samples) {
                if let Some(value) = read(&sample.value) {
                    shown.observe(value, &attributes(sample));
                }
            }
        })
    }
}

fn attributes(sample: &Sample) -> Vec<KeyValue> {
    let labels = sample.labels.iter();
    labels
        .map(|(name, value)| KeyValue::new(*name, value.clone()))
        .collect()
}

/// Reads the monitor once for all instruments of a collection.
struct Figures {
    monitor: Monitor,
    runtime: Option<Handle>,
    last: Mutex<Option<Last>>,
}

struct Last {
    families: Arc<[Family]>,
    /// The instruments that have shown them. The first one that comes a second time begins
    /// another collection.
    shown: BTreeSet<String>,
}

impl Figures {
    fn of(&self, instrument: &str) -> Arc<[Family]> {
        if let Some(last) = &mut *self.lock()
            && last.shown.insert(instrument.to_owned())
        {
            return Arc::clone(&last.families);
        }
        let families: Arc<[Family]> = self.read().into();
        *self.lock() = Some(Last {
            families: Arc::clone(&families),
            shown: BTreeSet::from([instrument.to_owned()]),
        });
        families
    }

    fn read(&self) -> Vec<Family> {
        let _entered = self.runtime.as_ref().map(Handle::enter);
        self.monitor.families()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Last>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
