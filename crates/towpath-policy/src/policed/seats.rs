//! The seats of the calls that run: permits, and who decides how many there are.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    Concurrency,
    concurrency::{Adaptive, Permits},
};

/// Permits, and what adapts their limit.
#[derive(Debug)]
pub(crate) struct Seats {
    permits: Permits,
    adaptive: Option<Adaptive>,
}

impl Seats {
    pub(crate) fn new(options: &Concurrency) -> Self {
        let adaptive = options.adaptive_options().map(Adaptive::new);
        let limit = match &adaptive {
            Some(adaptive) => adaptive.initial(),
            None => options.fixed_limit(),
        };
        Self {
            permits: Permits::new(limit),
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
    pub(crate) fn finish(&self, took: Option<Duration>, overloaded: bool, now: Option<Instant>) {
        if let (Some(adaptive), Some(took), Some(now)) = (&self.adaptive, took, now) {
            let (in_use, limit) = (self.permits.in_use(), self.permits.limit());
            let changed = adaptive.observe(now, took, overloaded, in_use, limit);
            if let Some(limit) = changed {
                self.permits.set_limit(limit);
            }
        }
        self.permits.release();
    }
}
