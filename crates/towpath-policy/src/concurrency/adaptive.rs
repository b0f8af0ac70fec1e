//! An adaptive limit: as many calls at once as the service bears.
//!
//! Vector's adaptive request concurrency is the model: the latency of a window, which is
//! about as long as a call, is compared with what is usual. When the limit was reached and
//! calls were not slow, it is raised by one; when they were slow, or the service says that
//! it is overloaded, it is lowered, and what was begun before that is not held against the
//! new limit. Three things differ:
//!
//! - What is usual must not follow the latency that the limit itself causes, or the limit
//!   rises without end. It follows a higher latency only when calls were not held up by the
//!   limit, or right after the limit was lowered.
//! - So a limit is lowered to below what the service seems to bear: its queue drains, and
//!   the window after that shows a latency without a queue.
//! - When the latency stays although far fewer calls run, the limit is not the reason: then
//!   that latency is the usual one, at once. When it falls just as the calls do, there still
//!   is a queue, whatever was thought to be usual: the limit is lowered again.

use std::{
    sync::{Mutex, MutexGuard, PoisonError, TryLockError},
    time::Duration,
};

use tokio::time::Instant;

use self::{
    usual::Usual,
    window::{Sample, Window},
};
use super::AdaptiveOptions;

#[cfg(all(test, not(shuttle)))]
mod tests;
mod usual;
mod window;

/// Decides the limit of [`Permits`](super::Permits) from how the calls went.
#[derive(Debug)]
pub(crate) struct Adaptive {
    options: AdaptiveOptions,
    state: Mutex<State>,
}

/// What is known of the service.
#[derive(Debug, Default)]
struct State {
    /// Nothing before the first window has ended.
    usual: Option<Usual>,
    window: Window,
    /// What was seen when latency lowered the limit, until the effect is seen.
    lowered: Option<Sample>,
}

/// How many calls run and how many may, when one ends.
#[derive(Clone, Copy, Debug)]
struct Load {
    in_use: usize,
    limit: usize,
}

/// A limit is not lowered to less than this part of it at once: what is seen may be noise.
const DEEPEST_CUT: f64 = 0.5;

/// A cut to no more than this part of the calls has an effect on the latency, if any.
const FEWER: f64 = 0.95;

/// A cut to no more than this part has an effect that is told from noise.
const FAR_FEWER: f64 = 0.8;

/// When no more of the latency than this part is unexplained, it is a queue.
const EXPLAINED: f64 = 0.15;

// === impl Adaptive ===

impl Adaptive {
    pub(crate) fn new(options: &AdaptiveOptions) -> Self {
        Self {
            options: options.clone(),
            state: Mutex::default(),
        }
    }

    /// The limit to begin with.
    pub(crate) fn initial(&self) -> usize {
        self.options.initial()
    }

    /// Looks at a call that has ended; the new limit, when it changes.
    ///
    /// `in_use` is how many run, this call included. Calls that failed at once for another
    /// reason than overload are not to be looked at: that is no latency.
    ///
    /// Takes one lock, for a few dozen instructions. A call that finds it taken is not
    /// looked at, unless the service was overloaded: the other calls tell as much.
    pub(crate) fn observe(
        &self,
        now: Instant,
        latency: Duration,
        overloaded: bool,
        in_use: usize,
        limit: usize,
    ) -> Option<usize> {
        let mut state = self.state(overloaded)?;
        let load = Load { in_use, limit };
        if overloaded {
            return state.overloaded(&self.options, now, latency, load);
        }
        let sample = state.sample(now, latency, load)?;
        state.decide(&self.options, now, sample, limit)
    }

    /// None when somebody else has it and it does not matter.
    fn state(&self, matters: bool) -> Option<MutexGuard<'_, State>> {
        if matters {
            return Some(self.state.lock().unwrap_or_else(PoisonError::into_inner));
        }
        match self.state.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

// === impl State ===

impl State {
    /// Need not wait for the window to end: the service has said it.
    fn overloaded(
        &mut self,
        options: &AdaptiveOptions,
        now: Instant,
        latency: Duration,
        load: Load,
    ) -> Option<usize> {
        if !self.window.knows(now, latency) {
            return None;
        }
        self.window = Window::after_cut(now);
        self.lowered = None;
        let borne = to_f64(load.in_use.min(load.limit));
        load.lower(options, borne)
    }

    /// What was seen in the window, when it ends with this call.
    fn sample(&mut self, now: Instant, latency: Duration, load: Load) -> Option<Sample> {
        let mean = self.usual.as_ref().map_or(latency, Usual::mean);
        let capped = match &self.usual {
            Some(usual) => usual.cap(latency),
            None => latency,
        };
        if !self.window.opens(now, latency, mean) {
            return None;
        }
        let sample = self.window.add(now, capped, mean, load.in_use)?;
        self.window = Window::default();
        Some(sample)
    }

    fn decide(
        &mut self,
        options: &AdaptiveOptions,
        now: Instant,
        sample: Sample,
        limit: usize,
    ) -> Option<usize> {
        let is_queued = self.learn_from_cut(&sample);
        let Some(usual) = &mut self.usual else {
            self.usual = Some(Usual::new(&sample));
            return None;
        };
        let in_use = sample.in_use;
        let load = Load { in_use, limit };
        let is_slow = usual.is_exceeded_by(&sample, options.tolerance);
        let part = if is_slow {
            usual.ratio_to(&sample)
        } else {
            1.0
        };
        let is_unloaded = (sample.is_after_cut && !is_slow) || limit <= options.between.0;
        usual.learn(&sample, is_unloaded, load.is_reached());
        if !is_slow && !is_queued {
            return load.raise(options);
        }
        if load.is_light() {
            return None;
        }
        let lower = load.lower(options, to_f64(limit) * part)?;
        self.window = Window::after_cut(now);
        self.lowered = Some(sample);
        Some(lower)
    }

    /// What lowering the limit has done; true when it was not enough: the latency fell as
    /// the calls did, so all of those that run still wait for each other.
    fn learn_from_cut(&mut self, sample: &Sample) -> bool {
        let (Some(before), Some(usual)) = (self.lowered.take(), &mut self.usual) else {
            return false;
        };
        let calls = sample.calls_per(&before);
        if calls > FEWER {
            return false;
        }
        let unexplained = sample.unexplained_since(&before);
        // Before the first of several cuts, the service itself may have been changing.
        if before.is_after_cut && calls <= FAR_FEWER {
            usual.follow(sample, unexplained);
        }
        unexplained < EXPLAINED
    }
}

// === impl Load ===

impl Load {
    fn is_reached(self) -> bool {
        self.in_use >= self.limit
    }

    /// So few calls are not what makes the service slow: a lower limit would not help.
    fn is_light(self) -> bool {
        self.in_use < self.limit / 2
    }

    /// One more, when the limit was reached. A limit outside of the bounds was set by hand:
    /// it is not raised.
    fn raise(self, options: &AdaptiveOptions) -> Option<usize> {
        let (least, most) = options.between;
        let may = self.is_reached() && (least..most).contains(&self.limit);
        may.then(|| self.limit + 1)
    }

    /// Less than what the service seems to bear, by one at least.
    fn lower(self, options: &AdaptiveOptions, borne: f64) -> Option<usize> {
        let wanted = (borne * options.decrease).min(borne - 1.0);
        let deepest = to_f64(self.limit) * DEEPEST_CUT;
        let lower = to_usize(wanted.max(deepest)).max(options.between.0);
        (lower < self.limit).then_some(lower)
    }
}

#[expect(clippy::cast_precision_loss, reason = "so many calls do not run")]
fn to_f64(calls: usize) -> f64 {
    calls as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a part of a limit, rounded down"
)]
fn to_usize(calls: f64) -> usize {
    calls as usize
}
