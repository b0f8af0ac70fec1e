//! Each policy alone, as a layer.

use super::{Policies, PolicyLayer};
use crate::{
    Again, CircuitBreaker, Concurrency, Flat, InvalidOptions, Once, RateLimit, Retry, Timeout,
};

impl<L: 'static> RateLimit<L> {
    /// Makes a layer of this alone.
    ///
    /// # Errors
    /// Fails when an option makes no sense.
    pub fn build(self) -> Result<PolicyLayer<L, Once>, InvalidOptions> {
        Policies::new().rate_limit(self).build()
    }
}

impl Retry {
    /// Makes a layer of this alone. Requests must be `Clone`.
    ///
    /// # Errors
    /// Fails when an option makes no sense.
    pub fn build(self) -> Result<PolicyLayer<Flat, Again>, InvalidOptions> {
        Policies::new().retry(self).build()
    }
}

impl CircuitBreaker {
    /// Makes a layer of this alone.
    ///
    /// A call that waits when the breaker opens over it again is not repeated: that needs a
    /// [`Retry`] beside it. It fails with [`Unavailable`](crate::Unavailable).
    ///
    /// # Errors
    /// Fails when an option makes no sense.
    pub fn build(self) -> Result<PolicyLayer, InvalidOptions> {
        Policies::new().circuit_breaker(self).build()
    }
}

impl Concurrency {
    /// Makes a layer of this alone.
    ///
    /// # Errors
    /// Fails when an option makes no sense.
    pub fn build(self) -> Result<PolicyLayer, InvalidOptions> {
        Policies::new().concurrency(self).build()
    }
}

impl Timeout {
    /// Makes a layer of this alone.
    ///
    /// # Errors
    /// Fails when an option makes no sense.
    pub fn build(self) -> Result<PolicyLayer, InvalidOptions> {
        Policies::new().timeout(self).build()
    }
}
