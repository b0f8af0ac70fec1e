//! Items that come again, because they were given back.

use std::{fmt, sync::Mutex};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use towpath::{Headers, Outcome};

use super::TestToken;
use crate::hold::lock;

/// How often an item may come, and how its payload is kept.
pub(super) struct Again<P> {
    pub(super) max_attempts: u32,
    pub(super) copy: fn(&P) -> P,
}

/// The items that are out, and those that come again.
pub(crate) struct Returns<P> {
    again: Option<Again<P>>,
    state: Mutex<State<P>>,
    changed: Notify,
}

struct State<P> {
    out: usize,
    due: Vec<Due<P>>,
}

pub(super) struct Due<P> {
    at: Instant,
    pub(super) index: u64,
    pub(super) attempt: u32,
    pub(super) payload: P,
    /// The headers of its trace, where it was traced.
    pub(super) trace: Headers,
}

impl<P> Returns<P> {
    pub(super) fn new(again: Option<Again<P>>) -> Self {
        let state = State {
            out: 0,
            due: Vec::new(),
        };
        Self {
            again,
            state: Mutex::new(state),
            changed: Notify::new(),
        }
    }

    pub(super) fn comes_again(&self) -> bool {
        self.again.is_some()
    }

    /// An item goes out; keeps its payload if it could come again.
    pub(super) fn keep(&self, payload: &P) -> Option<P> {
        let again = self.again.as_ref()?;
        lock(&self.state).out += 1;
        Some((again.copy)(payload))
    }

    /// The outcome of an item is known.
    pub(super) fn settled(&self, token: &mut TestToken<P>, outcome: &Outcome) {
        let Some(again) = &self.again else {
            return;
        };
        let mut state = lock(&self.state);
        state.out -= 1;
        if let (
            Outcome::Retry {
                after,
                attempts,
                trace,
                ..
            },
            Some(payload),
        ) = (outcome, token.payload.take())
        {
            // Attempts made in place count: one that had two more comes as the fourth.
            let attempt = token.attempt.saturating_add(*attempts);
            if attempt <= again.max_attempts {
                state.due.push(Due {
                    at: Instant::now() + *after,
                    index: token.index,
                    attempt,
                    payload,
                    trace: trace.as_deref().cloned().unwrap_or_default(),
                });
            }
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Takes an item that is due, the one that waits longest first.
    pub(super) fn take_due(&self) -> Option<Due<P>> {
        let mut state = lock(&self.state);
        let next = state.next()?;
        (state.due[next].at <= Instant::now()).then(|| state.due.remove(next))
    }

    /// Whether an item is out or waits to come again.
    pub(super) fn is_open(&self) -> bool {
        let state = lock(&self.state);
        state.out > 0 || !state.due.is_empty()
    }

    /// Waits until an item is due or one that was out is settled.
    pub(super) async fn changed(&self) {
        let due = {
            let state = lock(&self.state);
            state.next().map(|next| state.due[next].at)
        };
        let Some(due) = due else {
            return self.changed.notified().await;
        };
        tokio::select! {
            () = self.changed.notified() => {}
            () = sleep_until(due) => {}
        }
    }
}

impl<P> State<P> {
    fn next(&self) -> Option<usize> {
        let due = self.due.iter().enumerate();
        due.min_by_key(|(_, due)| due.at).map(|(i, _)| i)
    }
}

impl<P> fmt::Debug for Returns<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.state);
        f.debug_struct("Returns")
            .field("out", &state.out)
            .field("due", &state.due.len())
            .finish_non_exhaustive()
    }
}
