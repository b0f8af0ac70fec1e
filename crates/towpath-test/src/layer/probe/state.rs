//! What all instances of one inner service share.

use std::{
    collections::{BTreeMap, VecDeque},
    task::{Poll, Waker},
};

use super::script::Tally;
use crate::layer::act::{Act, Failed};

/// What all instances of one inner service share.
#[derive(Debug)]
pub(super) struct State {
    pub(super) script: VecDeque<Act>,
    pub(super) always: Act,
    pub(super) tally: Tally,
    /// The first breach of the contract.
    pub(super) breach: Option<&'static str>,
    last_id: u64,
    readiness_fails: bool,
    /// For how many more calls it is ready; `None`: any number.
    room: Option<usize>,
    /// Whether a call that ends makes room.
    returns: bool,
    /// Instances that were told to wait.
    waiting: BTreeMap<u64, Waker>,
    /// Calls that are held.
    held: BTreeMap<u64, Option<Waker>>,
}

/// Who is to be woken, after the lock is gone.
#[must_use]
pub(super) struct Wakers(Vec<Waker>);

impl Wakers {
    pub(super) fn wake(self) {
        self.0.into_iter().for_each(Waker::wake);
    }
}

// === impl State ===

impl State {
    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(super) fn breach(&mut self, what: &'static str) {
        self.breach.get_or_insert(what);
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn poll_ready(&mut self, id: u64, waker: &Waker) -> Poll<Result<(), Failed>> {
        if self.readiness_fails {
            return Poll::Ready(Err(Failed));
        }
        if self.room == Some(0) {
            self.waiting.insert(id, waker.clone());
            return Poll::Pending;
        }
        self.room = self.room.map(|room| room - 1);
        self.waiting.remove(&id);
        self.tally.reserved += 1;
        Poll::Ready(Ok(()))
    }

    /// An instance is gone.
    pub(super) fn leave(&mut self, id: u64, ready: bool) -> Wakers {
        self.waiting.remove(&id);
        if !ready {
            return Wakers(Vec::new());
        }
        self.tally.reserved -= 1;
        self.tally.unused += 1;
        self.make_room()
    }

    pub(super) fn begin(&mut self, reserved: bool) -> (u64, Act) {
        let id = self.next_id();
        let act = self.script.pop_front();
        let act = act.unwrap_or_else(|| self.always.clone());
        if act.held {
            self.held.insert(id, None);
        }
        self.tally.reserved -= usize::from(reserved);
        self.tally.calls += 1;
        self.tally.running += 1;
        self.tally.most_running = self.tally.most_running.max(self.tally.running);
        (id, act)
    }

    pub(super) fn poll_held(&mut self, id: u64, waker: &Waker) -> Poll<()> {
        let Some(held) = self.held.get_mut(&id) else {
            return Poll::Ready(());
        };
        *held = Some(waker.clone());
        Poll::Pending
    }

    pub(super) fn dropped(&mut self) {
        self.tally.dropped += 1;
    }

    pub(super) fn end(&mut self, id: u64, reserved: bool) -> Wakers {
        self.held.remove(&id);
        self.tally.running -= 1;
        if reserved {
            self.make_room()
        } else {
            Wakers(Vec::new())
        }
    }

    /// Lets the call go that is held longest; `None`: no call is held.
    pub(super) fn release_one(&mut self) -> Option<Wakers> {
        let (_, waker) = self.held.pop_first()?;
        Some(Wakers(Vec::from_iter(waker)))
    }

    pub(super) fn set_room(&mut self, room: Option<usize>, returns: bool) -> Wakers {
        self.room = room;
        self.returns = returns;
        if room == Some(0) {
            return Wakers(Vec::new());
        }
        self.wake_waiting()
    }

    pub(super) fn grant(&mut self, n: usize) -> Wakers {
        self.room = self.room.map(|room| room + n);
        self.wake_waiting()
    }

    pub(super) fn fail_when_asked(&mut self) -> Wakers {
        self.readiness_fails = true;
        self.wake_waiting()
    }

    fn make_room(&mut self) -> Wakers {
        if self.returns {
            self.grant(1)
        } else {
            Wakers(Vec::new())
        }
    }

    /// All of them: one that no longer cares must not take the place of one that does.
    fn wake_waiting(&self) -> Wakers {
        Wakers(self.waiting.values().cloned().collect())
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            script: VecDeque::new(),
            always: Act::answer(),
            tally: Tally::default(),
            breach: None,
            last_id: 0,
            readiness_fails: false,
            room: None,
            returns: false,
            waiting: BTreeMap::new(),
            held: BTreeMap::new(),
        }
    }
}
