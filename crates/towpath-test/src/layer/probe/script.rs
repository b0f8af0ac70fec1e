//! What the test says to the inner service, and what it reads from it.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard},
};

use super::state::{State, Wakers};
use crate::{
    hold::lock,
    layer::{Act, Broken, Rule},
};

/// What a [`Probe`](super::Probe) and its clones do, and what was done with them. Cloning
/// gives another handle.
#[derive(Clone)]
pub struct Script(Arc<Mutex<State>>);

/// What was done with a [`Probe`](super::Probe) and its clones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Calls that began.
    pub calls: usize,
    /// Calls that run now.
    pub running: usize,
    /// The most that ran at once.
    pub most_running: usize,
    /// Calls that were dropped before they ended.
    pub dropped: usize,
    /// Instances that are ready now, and were not called yet.
    pub reserved: usize,
    /// Instances that were ready and dropped without a call.
    pub unused: usize,
}

// === impl Script ===

impl Script {
    pub(super) fn new() -> Self {
        Self(Arc::default())
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }

    /// Says what to do with the next calls, one act each. Those after them do as
    /// [`always`](Self::always) says.
    pub fn next(&self, acts: impl IntoIterator<Item = Act>) {
        self.state().script.extend(acts);
    }

    /// Says what to do with every call that has no act of its own; at first, it answers.
    pub fn always(&self, act: Act) {
        let mut state = self.state();
        state.script.clear();
        state.always = act;
    }

    /// Is ready for at most `n` calls at once, as a service with `n` permits is.
    pub fn room(&self, n: usize) {
        let wakers = self.state().set_room(Some(n), true);
        wakers.wake();
    }

    /// Is ready for no call from now on, but for those [granted](Self::grant).
    pub fn withhold(&self) {
        let wakers = self.state().set_room(Some(0), false);
        wakers.wake();
    }

    /// Is ready for `n` more calls.
    pub fn grant(&self, n: usize) {
        let wakers = self.state().grant(n);
        wakers.wake();
    }

    /// Is always ready, as at first.
    pub fn open(&self) {
        let wakers = self.state().set_room(None, false);
        wakers.wake();
    }

    /// Fails when it is asked whether it is ready.
    pub fn fail_when_asked(&self) {
        let wakers = self.state().fail_when_asked();
        wakers.wake();
    }

    /// Lets the call go on that is held longest; whether there was one.
    pub fn release_one(&self) -> bool {
        let released = self.state().release_one();
        released.map(Wakers::wake).is_some()
    }

    /// Lets all calls go on that are held now.
    pub fn release_all(&self) {
        while self.release_one() {}
    }

    /// How many wait to be ready.
    pub fn waiting(&self) -> usize {
        self.state().waiting()
    }

    /// What was done so far.
    pub fn tally(&self) -> Tally {
        self.state().tally
    }

    /// Whether the contract was kept so far.
    ///
    /// # Errors
    /// Fails with the first breach.
    pub fn kept(&self) -> Result<(), Broken> {
        match self.state().breach {
            None => Ok(()),
            Some(breach) => Err(Rule::Contract.broken(breach)),
        }
    }

    /// Lets one thing happen: somebody is ready, or a call goes on. Whether anybody waited.
    pub(in crate::layer) fn nudge(&self) -> bool {
        if self.waiting() > 0 {
            self.grant(1);
            return true;
        }
        self.release_one()
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Script").field(&self.tally()).finish()
    }
}
