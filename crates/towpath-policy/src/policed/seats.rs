//! The seats of the calls that run: permits, and who decides how many there are.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    Concurrency,
    apart::Apart,
    concurrency::{Adaptive, Permits},
};

/// Permits, and what adapts their limit.
#[derive(Debug)]
pub(crate) struct Seats {
    permits: Apart<Permits>,
    adaptive: Option<Adaptive>,
}

/// What the time that a call took says of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Latency {
    /// How fast it is.
    Telling,
    /// It has more than it can do.
    Overloaded,
    /// Nothing.
    Meaningless,
}

impl Seats {
    pub(crate) fn new(options: &Concurrency) -> Self {
        let adaptive = options.adaptive_options().map(Adaptive::new);
        let limit = match &adaptive {
            Some(adaptive) => adaptive.initial(),
            None => options.fixed_limit(),
        };
        Self {
            permits: Apart(Permits::new(limit)),
            adaptive,
        }
    }

    #[inline]
    pub(crate) fn permits(&self) -> &Permits {
        &self.permits
    }

    /// Whether it matters how long calls take.
    #[inline]
    pub(crate) fn measures(&self) -> bool {
        self.adaptive.is_some()
    }

    /// A call has ended: gives its permit back, after it was looked at.
    #[inline]
    pub(super) fn finish(&self, took: Duration, latency: Latency, now: Instant) {
        if let (Some(adaptive), false) = (&self.adaptive, latency == Latency::Meaningless) {
            let (in_use, limit) = (self.permits.in_use(), self.permits.limit());
            let overloaded = latency == Latency::Overloaded;
            let changed = adaptive.observe(now, took, overloaded, in_use, limit);
            if let Some(limit) = changed {
                self.permits.set_limit(limit);
            }
        }
        self.permits.release();
    }
}
