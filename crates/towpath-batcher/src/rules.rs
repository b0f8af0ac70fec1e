//! When a batch closes, and how many may be open.

use std::{num::NonZeroUsize, time::Duration};

use towpath_core::Trigger;

const MAX_MESSAGES: NonZeroUsize = NonZeroUsize::new(100).expect("100 is not zero");
const MAX_OPEN_KEYS: NonZeroUsize = NonZeroUsize::new(1024).expect("1024 is not zero");

/// When a batch closes, and how many may be open.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rules {
    /// A batch closes when it holds this many messages (100).
    pub max_messages: NonZeroUsize,
    /// A batch closes before the message that would take it over this weight
    /// (no limit). A message that is heavier by itself goes alone.
    pub max_weight: Option<u64>,
    /// A batch closes when its first message has waited this long (1 s).
    /// [`Duration::MAX`] means never.
    pub max_wait: Duration,
    /// Opening a key beyond this many closes the batch that was touched least
    /// recently (1024).
    pub max_open_keys: NonZeroUsize,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            max_messages: MAX_MESSAGES,
            max_weight: None,
            max_wait: Duration::from_secs(1),
            max_open_keys: MAX_OPEN_KEYS,
        }
    }
}

impl Rules {
    /// Whether a batch of this weight is too heavy.
    pub(crate) fn overflows(&self, weight: u64) -> bool {
        self.max_weight.is_some_and(|max| weight > max)
    }

    /// Why a batch of `messages` and `weight` closes after its newest message,
    /// if it does.
    ///
    /// It is too heavy only if that message is alone, see [`Rules::overflows`].
    pub(crate) fn trigger(
        &self,
        messages: usize,
        weight: u64,
        custom: bool,
        flush: bool,
    ) -> Option<Trigger> {
        if self.overflows(weight) {
            Some(Trigger::Weight)
        } else if messages >= self.max_messages.get() {
            Some(Trigger::Count)
        } else if custom {
            Some(Trigger::Custom)
        } else {
            flush.then_some(Trigger::Flush)
        }
    }
}
