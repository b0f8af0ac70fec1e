//! Tells a sampler that a span's fate is decided already.

use std::cell::Cell;

thread_local! {
    static DECIDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether the span that is being started on this thread belongs to a message that was
/// chosen: a sampler that is asked meanwhile should say yes, or the choice is undone.
///
/// A sampler without regard for it, say of a provider that users bring along, chooses a
/// second time among the messages that were chosen.
pub fn is_decided() -> bool {
    DECIDED.get()
}

/// Starts a span of a message that was chosen.
pub(super) fn decided<R>(start: impl FnOnce() -> R) -> R {
    let _before = Restore(DECIDED.replace(true));
    start()
}

/// Also when a sampler panics.
struct Restore(bool);

impl Drop for Restore {
    fn drop(&mut self) {
        DECIDED.set(self.0);
    }
}
