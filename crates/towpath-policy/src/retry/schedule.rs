//! The schedules of a retry: the delay before each attempt, before chance comes in.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use humantime::format_duration;

use super::Jitter;
use towpath_options::{LONGEST, Problems};

type Custom = Arc<dyn Fn(u32, &(dyn Error + 'static)) -> Option<Duration> + Send + Sync>;

#[derive(Clone)]
pub(super) enum Schedule {
    Exponential { base: Duration, cap: Duration },
    Fixed(Duration),
    Custom(Custom),
}

// === impl Schedule ===

impl Schedule {
    /// The delay before a retry, 1 being the first; `None` when there shall be none.
    pub(super) fn delay(&self, retry: u32, error: &(dyn Error + 'static)) -> Option<Duration> {
        let delay = match self {
            Self::Exponential { base, cap } => doubled(*base, retry).min(*cap),
            Self::Fixed(delay) => *delay,
            Self::Custom(delay) => delay(retry, error)?,
        };
        Some(delay.min(LONGEST))
    }

    /// Whether the delays grow by themselves.
    pub(super) fn grows(&self) -> bool {
        matches!(self, Self::Exponential { .. })
    }

    /// The jitter when none is asked for: who says how long exactly shall wait that long.
    pub(super) fn usual_jitter(&self) -> Jitter {
        if self.grows() {
            Jitter::Full
        } else {
            Jitter::None
        }
    }

    pub(super) fn problems(&self, problems: &mut Problems) {
        match self {
            Self::Exponential { base, cap } => problems.within("exponential", |problems| {
                problems.expect_time("base", *base);
                problems.expect_time("cap", *cap);
                if base > cap {
                    problems.add("cap", "must be no less than the base");
                }
            }),
            Self::Fixed(delay) => problems.expect_sane("fixed", *delay),
            Self::Custom(_) => {}
        }
    }
}

impl Default for Schedule {
    fn default() -> Self {
        Self::Exponential {
            base: Duration::from_millis(100),
            cap: Duration::from_secs(10),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exponential { base, cap } => {
                let (base, cap) = (format_duration(*base), format_duration(*cap));
                write!(f, "{base} doubled up to {cap}")
            }
            Self::Fixed(delay) => write!(f, "{} apart", format_duration(*delay)),
            Self::Custom(_) => f.write_str("delays of its own"),
        }
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exponential { base, cap } => f
                .debug_struct("Exponential")
                .field("base", base)
                .field("cap", cap)
                .finish(),
            Self::Fixed(delay) => f.debug_tuple("Fixed").field(delay).finish(),
            Self::Custom(_) => f.write_str("Custom"),
        }
    }
}

/// The base, doubled once for each retry after the first.
fn doubled(base: Duration, retry: u32) -> Duration {
    let times = retry.saturating_sub(1).min(u64::BITS - 1);
    Duration::from_nanos(nanos(base).saturating_mul(1 << times))
}

/// A duration in nanoseconds, which fit: no option is longer than [`LONGEST`].
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
