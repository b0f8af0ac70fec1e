//! What a call carries beside its request: the attempt it is, and when its time is over.
//!
//! Set around every poll of a call, so that code deep in a handler can read it without
//! it being passed along. It does not follow a call into a task that the handler spawns.

use std::cell::Cell;

use tokio::time::Instant;

/// The attempt a call is, and when its time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallContext {
    /// When the time for all attempts is over.
    pub deadline: Option<Instant>,
    /// Which attempt this is, over all deliveries of the message: 1 is the first.
    pub attempt: u32,
    /// Whether the message was delivered before and given back, as its source says. Attempts
    /// made in place make no delivery.
    pub redelivered: bool,
}

thread_local! {
    static CURRENT: Cell<CallContext> = const { Cell::new(CallContext::NONE) };
}

/// When the time of the call that is being polled is over.
pub fn deadline() -> Option<Instant> {
    current().deadline
}

/// Which attempt the call that is being polled is; 1 outside of any.
pub fn attempt() -> u32 {
    current().attempt
}

/// Whether the message of the call that is being polled was delivered before and given back;
/// false outside of any, and when its source does not count deliveries.
pub fn redelivered() -> bool {
    current().redelivered
}

/// The context of the call that is being polled.
#[inline]
pub fn current() -> CallContext {
    CURRENT.get()
}

/// Runs `f` in a context, and keeps what `f` left there: a retry counts its attempts.
#[inline]
pub fn scope<R>(context: &mut CallContext, f: impl FnOnce() -> R) -> R {
    let _entered = enter(context);
    f()
}

/// Makes a context the current one until the guard is dropped, which keeps what was left
/// there and puts back what was before.
#[inline]
pub fn enter(context: &mut CallContext) -> Entered<'_> {
    Entered {
        before: CURRENT.replace(*context),
        context,
    }
}

/// Says which attempt the call is from now on, to those whose scope this is.
#[inline]
pub(crate) fn set_attempt(attempt: u32) {
    let mut current = CURRENT.get();
    current.attempt = attempt;
    CURRENT.set(current);
}

/// A context that is the current one, also while its code panics.
#[derive(Debug)]
#[must_use = "the context is left when this is dropped"]
pub struct Entered<'a> {
    before: CallContext,
    context: &'a mut CallContext,
}

// === impl Entered ===

impl Drop for Entered<'_> {
    #[inline]
    fn drop(&mut self) {
        *self.context = CURRENT.replace(self.before);
    }
}

// === impl CallContext ===

impl CallContext {
    const NONE: Self = Self {
        deadline: None,
        attempt: 1,
        redelivered: false,
    };

    /// A call that is the given attempt of its message.
    #[must_use]
    pub fn of_attempt(attempt: u32) -> Self {
        Self {
            attempt,
            ..Self::NONE
        }
    }

    /// With a word on whether its message was delivered before.
    #[must_use]
    pub fn redelivered(mut self, redelivered: bool) -> Self {
        self.redelivered = redelivered;
        self
    }

    /// With an end to its time; an earlier one stays.
    #[must_use]
    pub fn until(mut self, deadline: Option<Instant>) -> Self {
        self.deadline = match (self.deadline, deadline) {
            (Some(known), Some(new)) => Some(known.min(new)),
            (known, new) => known.or(new),
        };
        self
    }
}

impl Default for CallContext {
    fn default() -> Self {
        Self::NONE
    }
}
