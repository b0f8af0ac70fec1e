//! Which messages are still worked on, for sources that lend them.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// The messages that a source has lent and that have no outcome yet. Clones share them.
///
/// The guard of each, [`Held`], is part of its token: as long as the token lives, the lease is
/// [due](Self::due) to be extended, and no longer than a message may be held at most. There
/// are never more than the engine has messages of the source in flight.
///
/// ```
/// use std::time::Duration;
/// use towpath_connector::Leases;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let leases = Leases::new(Duration::from_secs(3600));
/// let token = leases.hold(17);
/// assert_eq!(leases.due(), [17]);
/// drop(token);
/// assert!(leases.is_empty());
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Leases<K: Eq + Hash>(Arc<Shared<K>>);

/// A message that is worked on, until this is dropped.
pub struct Held<K: Eq + Hash> {
    key: K,
    /// Which of the deliveries of the message it is: it may be lent again meanwhile.
    number: u64,
    leases: Leases<K>,
}

struct Shared<K> {
    hold_at_most: Duration,
    state: Mutex<State<K>>,
}

struct State<K> {
    held: HashMap<K, Lent>,
    number: u64,
}

struct Lent {
    since: Instant,
    number: u64,
}

// === impl Leases ===

impl<K: Clone + Eq + Hash> Leases<K> {
    /// A message is held for at most that long: then its lease runs out, and its source may
    /// lend it to somebody else.
    pub fn new(hold_at_most: Duration) -> Self {
        let state = State {
            held: HashMap::new(),
            number: 0,
        };
        Self(Arc::new(Shared {
            hold_at_most,
            state: Mutex::new(state),
        }))
    }

    /// A message was lent.
    pub fn hold(&self, key: K) -> Held<K> {
        let mut state = self.lock();
        state.number += 1;
        let number = state.number;
        let since = Instant::now();
        state.held.insert(key.clone(), Lent { since, number });
        drop(state);
        Held {
            key,
            number,
            leases: self.clone(),
        }
    }

    /// The messages whose leases are to be extended now.
    pub fn due(&self) -> Vec<K> {
        let at_most = self.0.hold_at_most;
        let state = self.lock();
        let held = state.held.iter();
        let due = held.filter(|(_, lent)| lent.since.elapsed() < at_most);
        due.map(|(key, _)| key.clone()).collect()
    }

    /// How many messages are held.
    pub fn len(&self) -> usize {
        self.lock().held.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K: Eq + Hash> Leases<K> {
    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Clone for Leases<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Eq + Hash> fmt::Debug for Leases<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leases")
            .field("held", &self.lock().held.len())
            .finish_non_exhaustive()
    }
}

// === impl Held ===

impl<K: Eq + Hash> Held<K> {
    /// What its source knows the message by.
    pub fn key(&self) -> &K {
        &self.key
    }
}

impl<K: Eq + Hash> Drop for Held<K> {
    fn drop(&mut self) {
        let mut state = self.leases.lock();
        let lent = state.held.get(&self.key);
        if lent.is_some_and(|lent| lent.number == self.number) {
            state.held.remove(&self.key);
        }
    }
}

impl<K: Eq + Hash + fmt::Debug> fmt::Debug for Held<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Held").field(&self.key).finish()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_message_is_due_until_its_token_is_gone_or_it_was_held_too_long() {
        let leases = Leases::new(MINUTE);
        let (first, second) = (leases.hold(1), leases.hold(2));
        advance(MINUTE / 2).await;
        drop(first);
        assert_eq!(leases.due(), [2]);
        advance(MINUTE / 2).await;
        assert_eq!(leases.due(), Vec::<i32>::new());
        assert_eq!((second.key(), leases.len()), (&2, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_an_earlier_delivery_does_not_end_the_lease_of_a_later_one() {
        let leases = Leases::new(MINUTE);
        let earlier = leases.hold(1);
        let later = leases.hold(1);
        drop(earlier);
        assert_eq!(leases.due(), [1]);
        drop(later);
        assert!(leases.is_empty());
    }
}
