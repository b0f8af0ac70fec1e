//! The breaker that its stages share.

use std::{sync::PoisonError, time::Duration};

use tokio::time::Instant;

use super::{
    Entry, Pass, Verdict,
    change::Listeners,
    machine::{Effect, Machine},
    settings::Settings,
    status::{BreakerState, BreakerStatus, Forced},
    window::{Bad, Window},
};
use crate::{
    line::Line,
    sync::{AtomicU64, Mutex, MutexGuard, Ordering},
};

#[derive(Debug)]
pub(super) struct Shared {
    /// The generation, and below it the bits of the state. Written under the lock.
    word: AtomicU64,
    settings: Settings,
    window: Window,
    line: Line,
    machine: Mutex<Machine>,
    listeners: Listeners,
}

impl Shared {
    pub(super) fn new(settings: Settings, now: Instant) -> Self {
        Self {
            word: AtomicU64::new(word(0, BreakerState::Closed)),
            window: Window::new(settings.extent, now),
            line: Line::default(),
            machine: Mutex::new(Machine::new(&settings)),
            listeners: Listeners::default(),
            settings,
        }
    }

    #[inline]
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    #[inline]
    pub(super) fn line(&self) -> &Line {
        &self.line
    }

    pub(super) fn listeners(&self) -> &Listeners {
        &self.listeners
    }

    #[inline]
    pub(super) fn state(&self) -> BreakerState {
        BreakerState::of(self.load())
    }

    #[inline]
    pub(super) fn is_current(&self, pass: Pass) -> bool {
        generation(self.load()) == pass.generation
    }

    #[inline]
    pub(super) fn enter_closed(&self) -> Option<Pass> {
        let word = self.load();
        BreakerState::of(word).lets_all_through().then_some(Pass {
            generation: generation(word),
            probe: false,
        })
    }

    pub(super) fn enter(&self, now: Instant) -> Entry {
        self.step(|machine| machine.enter(now, &self.settings))
    }

    pub(super) fn retry_after(&self, until: Instant, now: Instant) -> Duration {
        self.lock().retry_after(until, now)
    }

    /// A call that went well is counted without a lock. If the breaker changes between the
    /// look at the generation and that, the call counts in the next one: one more success.
    #[inline]
    pub(super) fn record(
        &self,
        pass: Pass,
        verdict: Verdict,
        took: Option<Duration>,
        now: Instant,
    ) {
        let bad = Bad {
            failed: verdict == Verdict::Failure,
            slow: self.settings.is_slow(took),
        };
        if verdict == Verdict::Ignored {
            return self.give_back(pass);
        }
        let is_plain = !(bad.failed || bad.slow || pass.probe);
        if self.is_current(pass) && !(is_plain && self.window.try_count(now)) {
            self.record_locked(pass, bad, now);
        }
    }

    pub(super) fn give_back(&self, pass: Pass) {
        if !pass.probe {
            return;
        }
        self.step(|machine| {
            if machine.is_current(pass) {
                return ((), machine.give_back());
            }
            ((), Effect::None)
        });
    }

    pub(super) fn force(&self, forced: Forced) {
        self.step(|machine| ((), machine.force(forced, &self.settings)));
    }

    pub(super) fn status(&self, now: Instant) -> BreakerStatus {
        let mut machine = self.lock();
        let totals = self.window.totals(&mut machine.tally, now);
        let until = machine.open_until();
        BreakerStatus {
            name: self.settings.name.clone(),
            state: machine.state(),
            calls: totals.calls,
            failure_rate: totals.failure_rate(),
            slow_rate: totals.slow_rate(),
            probes: machine.probes_out(),
            open_for: until.map(|until| until.saturating_duration_since(now)),
            generation: machine.generation(),
        }
    }

    #[cold]
    fn record_locked(&self, pass: Pass, bad: Bad, now: Instant) {
        self.step(|machine| {
            if !machine.is_current(pass) {
                return ((), Effect::None);
            }
            if pass.probe {
                return ((), machine.end_probe(bad, now, &self.settings));
            }
            self.window.count(&mut machine.tally, bad, now);
            if !(bad.failed || bad.slow) {
                return ((), Effect::None);
            }
            let totals = self.window.totals(&mut machine.tally, now);
            ((), machine.judge(totals, now, &self.settings))
        });
    }

    pub(super) fn probes_succeeded(&self) -> u64 {
        self.lock().probes_succeeded()
    }

    /// Takes a step under the lock, and tells others of it outside.
    fn step<R>(&self, act: impl FnOnce(&mut Machine) -> (R, Effect)) -> R {
        let (result, effect) = {
            let mut machine = self.lock();
            let (result, effect) = act(&mut machine);
            if let Effect::Changed(_) = effect {
                self.publish(&mut machine);
            }
            (result, effect)
        };
        match effect {
            Effect::None => {}
            Effect::PlaceFree => self.line.wake_first(),
            Effect::Changed(change) => {
                // Who is behind the first can go only when all can; who leaves wakes the next.
                if change.to.lets_all_through() {
                    self.line.wake_all();
                } else {
                    self.line.wake_first();
                }
                self.listeners.tell(&change);
            }
        }
        result
    }

    /// What happened before it closed does not count any more; what opened it can be seen
    /// until then.
    fn publish(&self, machine: &mut Machine) {
        if machine.state().lets_all_through() {
            self.window.clear(&mut machine.tally);
        }
        let word = word(machine.generation(), machine.state());
        self.word.store(word, Ordering::Release);
    }

    #[inline]
    fn load(&self) -> u64 {
        self.word.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn word(generation: u64, state: BreakerState) -> u64 {
    (generation << BreakerState::BITS) | state.bits()
}

#[inline]
fn generation(word: u64) -> u64 {
    word >> BreakerState::BITS
}
