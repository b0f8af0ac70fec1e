//! What the compiler checks: `Send` and `Sync`, as promised.

use tower_layer::Layer;
use tower_service::Service;
use towpath::BoxError;

use super::Probe;

/// Compiles when `T` is `Send`.
pub const fn assert_send<T: Send + ?Sized>() {}

/// Compiles when `T` is `Sync`.
pub const fn assert_sync<T: Sync + ?Sized>() {}

/// Compiles when a service and its futures can be sent to other threads.
///
/// ```
/// use tower::{ServiceBuilder, timeout::TimeoutLayer};
/// use towpath_test::layer::{Probe, assert_service};
///
/// let (probe, _) = Probe::new();
/// let service = ServiceBuilder::new().timeout(std::time::Duration::MAX).service(probe);
/// assert_service::<u64, _>(&service);
/// ```
///
/// ```compile_fail
/// let local = tower::service_fn(|n: u64| {
///     let stays_here = std::rc::Rc::new(n);
///     async move { Ok::<_, std::convert::Infallible>(*stays_here) }
/// });
/// towpath_test::layer::assert_service::<u64, _>(&local);
/// ```
pub const fn assert_service<Q, S>(_: &S)
where
    S: Service<Q, Error: Into<BoxError>, Future: Send> + Send + 'static,
{
}

/// Compiles when a layer can be shared between threads, and what it makes of a [`Probe`]
/// too.
///
/// ```
/// use tower::limit::ConcurrencyLimitLayer;
///
/// towpath_test::layer::assert_layer::<u64, u64, _>(&ConcurrencyLimitLayer::new(1));
/// ```
pub const fn assert_layer<Q, R, L>(_: &L)
where
    L: Layer<Probe<Q, R>> + Clone + Send + Sync + 'static,
    L::Service: Service<Q, Error: Into<BoxError>, Future: Send> + Clone + Send + Sync + 'static,
{
}
