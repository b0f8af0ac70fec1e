//! Deadline: how long everything inside may take, readable from inside.

mod future;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use serde::{Deserialize, Deserializer};
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

pub use future::DeadlineFuture;

use towpath_options::duration;

use crate::{
    BoxError, InvalidOptions, Problems,
    context::{self, CallContext},
};

/// How long a call may take in total: waits, attempts and the pauses between them.
///
/// The time runs from the call on. A deadline that the call already has stays when it is
/// earlier; code inside reads what holds with [`context::deadline`]. In options it is a
/// duration in words, such as `"30s"`.
///
/// ```
/// # use std::time::Duration;
/// use towpath_policy::{Deadline, context, service_fn};
/// use tower::{Layer, Service};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let deadline = Deadline::after(Duration::from_secs(30)).build()?;
/// let mut service = deadline.layer(service_fn(|_: ()| async {
///     Ok::<_, towpath_policy::BoxError>(context::deadline())
/// }));
/// std::future::poll_fn(|cx| service.poll_ready(cx)).await?;
/// assert!(service.call(()).await?.is_some());
/// # Ok::<_, towpath_policy::BoxError>(()) }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "options do nothing until they are built"]
pub struct Deadline {
    after: Option<Duration>,
}

/// Puts a [`Deadline`] around a service; its clones count together.
#[derive(Clone, Debug)]
pub struct DeadlineLayer {
    limit: Option<Limit>,
}

/// A service whose calls end at their [`Deadline`].
#[derive(Clone, Debug)]
pub struct DeadlineService<S> {
    inner: S,
    limit: Option<Limit>,
}

/// A limit of its own, and how often it was exceeded.
#[derive(Clone, Debug)]
struct Limit {
    after: Duration,
    exceeded: Arc<AtomicU64>,
}

// === impl Deadline ===

impl Deadline {
    /// Calls end this long after they began, or when their own deadline has come.
    pub fn after(after: Duration) -> Self {
        Self { after: Some(after) }
    }

    /// Calls end when their own deadline has come; those that have none are left alone.
    pub fn inherited() -> Self {
        Self { after: None }
    }

    /// Reports what is wrong with the options.
    pub fn problems(&self, problems: &mut Problems) {
        if let Some(after) = self.after {
            problems.expect_time("", after);
        }
    }

    /// Makes the layer.
    ///
    /// # Errors
    /// Fails when the time is zero or longer than ten years.
    pub fn build(self) -> Result<DeadlineLayer, InvalidOptions> {
        let mut problems = Problems::new();
        self.problems(&mut problems);
        problems.into_result()?;
        let limit = self.after.map(|after| Limit {
            after,
            exceeded: Arc::default(),
        });
        Ok(DeadlineLayer { limit })
    }
}

impl<'de> Deserialize<'de> for Deadline {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        duration::option::deserialize(from).map(|after| Self { after })
    }
}

impl From<Duration> for Deadline {
    fn from(after: Duration) -> Self {
        Self::after(after)
    }
}

/// A few words, as the topology shows them.
impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.after {
            Some(after) => write!(f, "deadline {}", humantime::format_duration(after)),
            None => f.write_str("deadline of the message"),
        }
    }
}

// === impl DeadlineLayer ===

impl DeadlineLayer {
    /// How long a call may take; none when only its own deadline ends it.
    pub fn limit(&self) -> Option<Duration> {
        self.limit.as_ref().map(|limit| limit.after)
    }

    /// How many calls were cut short. They are counted where there is a
    /// [limit](Self::limit).
    pub fn exceeded(&self) -> u64 {
        let count = |limit: &Limit| limit.exceeded.load(Relaxed);
        self.limit.as_ref().map_or(0, count)
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = DeadlineService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        DeadlineService {
            inner,
            limit: self.limit.clone(),
        }
    }
}

// === impl DeadlineService ===

impl<S> DeadlineService<S> {
    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    fn counter(&self) -> Option<Arc<AtomicU64>> {
        self.limit.as_ref().map(|limit| limit.exceeded.clone())
    }

    /// The context of a call that begins now, and whether its time is over already.
    ///
    /// Without any deadline the clock is not read.
    fn begin(&self) -> (CallContext, bool) {
        let context = context::current();
        let after = self.limit.as_ref().map(|limit| limit.after);
        if after.is_none() && context.deadline.is_none() {
            return (context, false);
        }
        let now = Instant::now();
        let context = context.until(after.and_then(|after| now.checked_add(after)));
        (context, context.deadline.is_some_and(|end| end <= now))
    }
}

impl<S, Q> Service<Q> for DeadlineService<S>
where
    S: Service<Q> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = DeadlineFuture<S::Future>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    #[inline]
    fn call(&mut self, request: Q) -> Self::Future {
        let (mut context, passed) = self.begin();
        if passed {
            // What was readied for the call is free for others.
            self.inner = self.inner.clone();
            return DeadlineFuture::passed(self.counter());
        }
        let counter = self.counter();
        let inner = &mut self.inner;
        let deadline = context.deadline;
        let future = future::scoped(&mut context, || inner.call(request));
        DeadlineFuture::new(future, deadline, counter)
    }
}
