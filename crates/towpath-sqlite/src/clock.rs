//! The time that processes share.

use std::sync::Arc;

/// Tells the time in milliseconds since 1970: leases and delays in a file outlive the process
/// that wrote them, and no other clock does.
#[derive(Clone)]
pub(crate) struct Clock(Arc<dyn Fn() -> i64 + Send + std::marker::Sync>);

impl Clock {
    /// The wall clock of this machine.
    #[expect(
        clippy::disallowed_types,
        reason = "leases and delays are shared by processes, and outlive them"
    )]
    pub(crate) fn wall() -> Self {
        use std::time::SystemTime;
        Self::new(|| {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            since.map_or(0, |since| {
                i64::try_from(since.as_millis()).unwrap_or(i64::MAX / 4)
            })
        })
    }

    pub(crate) fn new(now: impl Fn() -> i64 + Send + std::marker::Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub(crate) fn now(&self) -> i64 {
        (self.0)()
    }
}
