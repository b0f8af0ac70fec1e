//! Hedge: a second call beside one that takes long, and the first answer of the two.

mod budget;
mod future;
mod latency;
mod leg;
#[cfg(test)]
mod tests;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use serde::Deserialize;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

pub use future::HedgeFuture;

use towpath_options::duration;

use crate::{BoxError, InvalidOptions, Problems, spare::Spare};
use budget::Budget;
use future::Further;
use latency::Latency;

/// Calls a service that is slow to answer once more, and takes the answer that comes first.
///
/// **Only for services that are idempotent**: both calls may happen. A call that has lost is
/// dropped before the answer of the other is given out. An error of one call waits for the
/// others; when all have failed the answer is the error that came first.
///
/// Further calls are bounded twice: by [`extra`](Self::extra) per call, and by a
/// [`budget`](Self::budget) over all calls, so that a slow service is not called twice as often.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default = "Hedge::unset")]
#[must_use = "options do nothing until they are built"]
pub struct Hedge {
    #[serde(with = "duration::option")]
    after: Option<Duration>,
    percentile: Option<f64>,
    min_samples: u32,
    extra: u32,
    budget: f64,
}

/// Puts a [`Hedge`] around a service; its clones share the budget and what was measured.
#[derive(Clone, Debug)]
pub struct HedgeLayer {
    shared: Arc<Shared>,
}

/// A service with a [`Hedge`].
#[derive(Clone, Debug)]
pub struct HedgeService<S> {
    inner: S,
    spare: Spare<S>,
    shared: Arc<Shared>,
}

/// What the calls of a hedge share.
#[derive(Debug)]
struct Shared {
    after: Option<Duration>,
    extra: u32,
    budget: Budget,
    latency: Option<Latency>,
    /// Further calls whose answer was taken.
    won: AtomicU64,
}

// === impl Hedge ===

impl Hedge {
    /// Calls once more when there is no answer after this time.
    pub fn after(after: Duration) -> Self {
        Self {
            after: Some(after),
            ..Self::unset()
        }
    }

    /// Calls once more when this share of calls has had its answer: 0.95 for one call of 20.
    ///
    /// Before there are enough [samples](Self::min_samples) no call is hedged, unless there is
    /// a time [until then](Self::until_known).
    pub fn percentile(percentile: f64) -> Self {
        Self {
            percentile: Some(percentile),
            ..Self::unset()
        }
    }

    /// Calls once more after this time as long as the percentile is not known.
    pub fn until_known(mut self, after: Duration) -> Self {
        self.after = Some(after);
        self
    }

    /// How many calls must have had their answer before the percentile is used; 100 unless
    /// said otherwise.
    pub fn min_samples(mut self, samples: u32) -> Self {
        self.min_samples = samples;
        self
    }

    /// How many further calls there may be, each as long after the one before; 1 unless said
    /// otherwise, and 10 at most.
    pub fn extra(mut self, extra: u32) -> Self {
        self.extra = extra;
        self
    }

    /// How many further calls there may be for each call, over all calls; 0.1 unless said
    /// otherwise.
    ///
    /// What is not used is saved for later, up to ten calls; that much is there at the start.
    pub fn budget(mut self, ratio: f64) -> Self {
        self.budget = ratio;
        self
    }

    /// Reports what is wrong with the options.
    pub fn problems(&self, problems: &mut Problems) {
        if self.after.is_none() && self.percentile.is_none() {
            problems.add("", "needs `after`, `percentile` or both");
        }
        if let Some(after) = self.after {
            problems.expect_time("after", after);
        }
        if let Some(percentile) = self.percentile {
            problems.expect_between("percentile", percentile, 0.01, 0.999);
        }
        problems.expect_some("min_samples", self.min_samples);
        problems.expect_between("extra", f64::from(self.extra), 1.0, 10.0);
        problems.expect_between("budget", self.budget, 0.0, 1.0);
    }

    /// Makes the layer.
    ///
    /// # Errors
    /// Fails when an option cannot be used, with all such options.
    pub fn build(&self) -> Result<HedgeLayer, InvalidOptions> {
        let mut problems = Problems::new();
        self.problems(&mut problems);
        problems.into_result()?;
        let latency = |percentile| Latency::new(percentile, self.min_samples);
        let shared = Shared {
            after: self.after,
            extra: self.extra,
            budget: Budget::new(self.budget),
            latency: self.percentile.map(latency),
            won: AtomicU64::new(0),
        };
        let shared = Arc::new(shared);
        Ok(HedgeLayer { shared })
    }

    /// What holds unless it is said otherwise.
    fn unset() -> Self {
        Self {
            after: None,
            percentile: None,
            min_samples: 100,
            extra: 1,
            budget: 0.1,
        }
    }
}

// === impl HedgeLayer ===

impl HedgeLayer {
    /// How many further calls there were.
    pub fn hedged(&self) -> u64 {
        self.shared.budget.spent()
    }

    /// How many further calls had their answer first.
    pub fn won(&self) -> u64 {
        self.shared.won.load(Relaxed)
    }

    /// After what time a call is hedged now; none while that is not known.
    pub fn delay(&self) -> Option<Duration> {
        self.shared.delay()
    }
}

impl<S: Clone> Layer<S> for HedgeLayer {
    type Service = HedgeService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        HedgeService {
            spare: Spare::new(inner.clone()),
            inner,
            shared: self.shared.clone(),
        }
    }
}

// === impl HedgeService ===

impl<S> HedgeService<S> {
    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, Q> Service<Q> for HedgeService<S>
where
    S: Service<Q> + Clone,
    S::Error: Into<BoxError>,
    Q: Clone,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = HedgeFuture<S, Q>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    #[inline]
    fn call(&mut self, request: Q) -> Self::Future {
        self.shared.budget.deposit();
        let further = self.shared.delay().map(|delay| Further {
            spare: self.spare.clone(),
            request: request.clone(),
            delay,
            left: self.shared.extra,
        });
        let started = self.shared.latency.is_some().then(Instant::now);
        HedgeFuture::new(self.inner.call(request), further, started, &self.shared)
    }
}

// === impl Shared ===

impl Shared {
    #[inline]
    fn delay(&self) -> Option<Duration> {
        let known = self.latency.as_ref().and_then(Latency::percentile);
        known.or(self.after)
    }

    fn record(&self, started: Option<Instant>) {
        if let (Some(latency), Some(started)) = (&self.latency, started) {
            latency.record(started.elapsed());
        }
    }
}
