//! A queue in memory that behaves as a server does: it can be killed, it lends what it holds,
//! and every call takes a while.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};
use towpath_test::conformance::Parcel;

/// How long a message is lent.
pub(crate) const LEASE: Duration = Duration::from_secs(2);
/// How long a call takes.
const LATENCY: Duration = Duration::from_millis(1);
/// How long a call is waited for.
const NO_ANSWER: Duration = Duration::from_secs(5);
/// The largest payload.
pub(crate) const TOO_LARGE: usize = 1 << 20;

#[derive(Clone, Default)]
pub(crate) struct Broker(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
pub(crate) struct State {
    down: bool,
    frozen: bool,
    pub(crate) places: BTreeMap<String, Place>,
}

#[derive(Default)]
pub(crate) struct Place {
    pub(crate) messages: BTreeMap<u64, Stored>,
    pub(crate) identities: BTreeSet<String>,
    next: u64,
}

pub(crate) struct Stored {
    pub(crate) parcel: Parcel,
    pub(crate) deliveries: u32,
    pub(crate) due: Instant,
    /// Lent until then.
    pub(crate) lent: Option<Instant>,
}

/// A message that was lent.
pub(crate) struct Lent {
    pub(crate) key: Key,
    pub(crate) parcel: Parcel,
}

/// A message, and which delivery of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) id: u64,
    pub(crate) delivery: u32,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum BrokerError {
    #[error("memory://queue refuses the connection")]
    Refused,
    #[error("memory://queue does not answer")]
    NoAnswer,
    #[error("memory://queue has no place {0}")]
    NoPlace(String),
}

// === impl Broker ===

impl Broker {
    /// Looks at the state from outside, as its owner.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.0.changed.notify_waiters();
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.change(|state| state.down = down);
    }

    pub(crate) fn set_frozen(&self, frozen: bool) {
        self.change(|state| state.frozen = frozen);
    }

    /// A call of a client: all of it happens at its end, or nothing.
    pub(crate) async fn call<T>(
        &self,
        place: &str,
        act: impl FnOnce(&mut Place) -> T,
    ) -> Result<T, BrokerError> {
        sleep(LATENCY).await;
        timeout(NO_ANSWER, self.thawed())
            .await
            .map_err(|_| BrokerError::NoAnswer)?;
        let mut state = self.lock();
        if state.down {
            return Err(BrokerError::Refused);
        }
        let found = state.places.get_mut(place);
        let done = act(found.ok_or_else(|| BrokerError::NoPlace(place.to_owned()))?);
        drop(state);
        self.0.changed.notify_waiters();
        Ok(done)
    }

    async fn thawed(&self) {
        loop {
            let mut changed = std::pin::pin!(self.0.changed.notified());
            changed.as_mut().enable();
            if !self.lock().frozen {
                return;
            }
            changed.await;
        }
    }

    /// Waits until something may have changed: at most so long as a client waits for an
    /// answer.
    pub(crate) async fn wait(&self, place: &str) {
        let mut changed = std::pin::pin!(self.0.changed.notified());
        changed.as_mut().enable();
        let next = self.lock().places.get(place).and_then(Place::next_due);
        let now = Instant::now();
        let next = next.map_or(NO_ANSWER, |next| next.saturating_duration_since(now));
        if next.is_zero() {
            return;
        }
        drop(timeout(next.min(NO_ANSWER), changed).await);
    }
}

// === impl Place ===

impl Place {
    pub(crate) fn put(&mut self, parcel: Parcel) {
        let stored = Stored {
            parcel,
            deliveries: 0,
            due: Instant::now(),
            lent: None,
        };
        self.messages.insert(self.next, stored);
        self.next += 1;
    }

    /// Lends up to `count` messages.
    pub(crate) fn lend(&mut self, count: usize, last_first: bool) -> Vec<Lent> {
        let now = Instant::now();
        let mut free: Vec<_> = self
            .messages
            .iter_mut()
            .filter(|(_, m)| m.is_free(now))
            .collect();
        if last_first {
            free.reverse();
        }
        let lend = |(id, message): (&u64, &mut Stored)| {
            message.deliveries += 1;
            message.lent = Some(now + LEASE);
            let key = Key {
                id: *id,
                delivery: message.deliveries,
            };
            let parcel = message.parcel.clone();
            Lent { key, parcel }
        };
        free.into_iter().take(count).map(lend).collect()
    }

    /// The message, if this delivery of it is the last and its lease runs.
    pub(crate) fn lent(&mut self, key: Key) -> Option<&mut Stored> {
        let found = self.messages.get_mut(&key.id)?;
        (found.deliveries == key.delivery && found.lent.is_some()).then_some(found)
    }

    pub(crate) fn claimed(&self) -> u64 {
        let now = Instant::now();
        let lent = |message: &&Stored| message.lent.is_some_and(|until| until > now);
        self.messages.values().filter(lent).count() as u64
    }

    fn next_due(&self) -> Option<Instant> {
        self.messages.values().map(Stored::free_at).min()
    }
}

// === impl Stored ===

impl Stored {
    fn free_at(&self) -> Instant {
        self.lent.unwrap_or(self.due)
    }

    fn is_free(&self, now: Instant) -> bool {
        self.free_at() <= now
    }
}
