//! What has become of each order, and which trace it has.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use towpath::trace;

/// What has become of the orders; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told(Arc<Mutex<BTreeMap<u64, Line>>>);

#[derive(Debug, Default)]
struct Line {
    outcome: &'static str,
    trace: Option<u128>,
}

// === impl Told ===

impl Told {
    /// Notes the trace of the order that is worked on here, if it has one.
    pub(crate) fn began(&self, order: u64) {
        let trace = trace::current().map(|span| span.id().trace);
        self.lock().entry(order).or_default().trace = trace;
    }

    pub(crate) fn settled(&self, order: u64, outcome: &'static str) {
        self.lock().entry(order).or_default().outcome = outcome;
    }

    pub(crate) fn first_trace(&self) -> Option<u128> {
        self.lock().values().next()?.trace
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Line>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (order, line) in &*self.lock() {
            write!(f, "order-{order}  {:8}", line.outcome)?;
            match line.trace {
                Some(trace) => writeln!(f, "  trace {trace:032x}")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}
