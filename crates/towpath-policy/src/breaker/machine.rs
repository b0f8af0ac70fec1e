//! The life of a breaker, step by step; all of it happens under its lock.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Entry, Pass,
    change::{Transition, TransitionReason},
    settings::Settings,
    status::{BreakerState, Forced},
    window::{Bad, Tally, Totals},
};

/// When to look again at a breaker that is forced open. Forcing it wakes those who wait.
const LOOK_AGAIN: Duration = Duration::from_secs(60 * 60);

#[derive(Debug)]
pub(super) struct Machine {
    pub(super) tally: Tally,
    phase: Phase,
    generation: u64,
    /// How long it is open the next time.
    open_for: Duration,
    /// Probes that have succeeded since the beginning.
    succeeded: u64,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    // Closed -> Open
    Closed,
    // Open -> HalfOpen
    Open { until: Instant },
    // HalfOpen -> (Closed | Open)
    HalfOpen(Probes),
    // Any -> ForcedOpen -> HalfOpen
    ForcedOpen,
    // Any -> ForcedClosed -> Closed
    ForcedClosed,
}

#[derive(Clone, Copy, Debug, Default)]
struct Probes {
    out: u32,
    succeeded: u32,
    /// Until when those that are out may be; set when the first goes out.
    until: Option<Instant>,
}

/// What a step means for others.
#[derive(Debug, Default)]
pub(super) enum Effect {
    #[default]
    None,
    /// One more probe may go out.
    PlaceFree,
    Changed(Transition),
}

// === impl Machine ===

impl Machine {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            tally: Tally::default(),
            phase: Phase::Closed,
            generation: 0,
            open_for: settings.open_for,
            succeeded: 0,
        }
    }

    pub(super) fn state(&self) -> BreakerState {
        self.phase.state()
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn is_current(&self, pass: Pass) -> bool {
        pass.generation == self.generation
    }

    pub(super) fn probes_out(&self) -> u32 {
        match self.phase {
            Phase::HalfOpen(probes) => probes.out,
            _ => 0,
        }
    }

    pub(super) fn probes_succeeded(&self) -> u64 {
        self.succeeded
    }

    pub(super) fn open_until(&self) -> Option<Instant> {
        match self.phase {
            Phase::Open { until } => Some(until),
            _ => None,
        }
    }

    /// What those are told who do not wait here, and were to look again at `until`. While
    /// probes are out or it is held open nobody knows when it closes, and that may be far
    /// ahead: as long as it would be open the next time then.
    pub(super) fn retry_after(&self, until: Instant, now: Instant) -> Duration {
        let left = until.saturating_duration_since(now);
        match self.phase {
            Phase::Open { .. } => left,
            _ => left.min(self.open_for),
        }
    }

    /// Somebody wants to call.
    pub(super) fn enter(&mut self, now: Instant, settings: &Settings) -> (Entry, Effect) {
        let effect = self.notice_time(now, settings);
        let entry = match &mut self.phase {
            Phase::Closed | Phase::ForcedClosed => Ok(false),
            Phase::Open { until } => Err(*until),
            Phase::HalfOpen(probes) => probes.enter(now, settings).map(|()| true),
            Phase::ForcedOpen => Err(now + LOOK_AGAIN),
        };
        let entry = match entry {
            Ok(probe) => Entry::Pass(Pass {
                generation: self.generation,
                probe,
            }),
            Err(until) => Entry::Wait { until },
        };
        (entry, effect)
    }

    /// A probe has ended.
    pub(super) fn end_probe(&mut self, bad: Bad, now: Instant, settings: &Settings) -> Effect {
        let effect = self.notice_time(now, settings);
        let Phase::HalfOpen(probes) = &mut self.phase else {
            return effect;
        };
        if bad.failed {
            return self.open(TransitionReason::ProbeFailed, now, settings);
        }
        if bad.slow {
            return self.open(TransitionReason::ProbeSlow, now, settings);
        }
        probes.give_back();
        probes.succeeded += 1;
        self.succeeded += 1;
        if probes.succeeded < settings.successes {
            return Effect::PlaceFree;
        }
        self.open_for = settings.open_for;
        self.change(Phase::Closed, TransitionReason::ProbesSucceeded)
    }

    /// A probe was dropped.
    pub(super) fn give_back(&mut self) -> Effect {
        match &mut self.phase {
            Phase::HalfOpen(probes) => {
                probes.give_back();
                Effect::PlaceFree
            }
            _ => Effect::None,
        }
    }

    /// A failed or slow call was counted.
    pub(super) fn judge(&mut self, totals: Totals, now: Instant, settings: &Settings) -> Effect {
        let is_enough = totals.calls >= settings.min_calls || totals.wrapped;
        if !is_enough || !matches!(self.phase, Phase::Closed) {
            return Effect::None;
        }
        match too_bad(totals, settings) {
            Some(reason) => self.open(reason, now, settings),
            None => Effect::None,
        }
    }

    pub(super) fn force(&mut self, forced: Forced, settings: &Settings) -> Effect {
        let next = match (forced, self.phase) {
            (Forced::Open, Phase::ForcedOpen) | (Forced::Closed, Phase::ForcedClosed) => None,
            (Forced::Open, _) => Some(Phase::ForcedOpen),
            (Forced::Closed, _) => Some(Phase::ForcedClosed),
            (Forced::Auto, Phase::ForcedOpen) => Some(Phase::HalfOpen(Probes::default())),
            (Forced::Auto, Phase::ForcedClosed) => Some(Phase::Closed),
            (Forced::Auto, _) => None,
        };
        let Some(next) = next else {
            return Effect::None;
        };
        self.open_for = settings.open_for;
        self.change(next, TransitionReason::Forced)
    }

    /// What the passing of time alone changes.
    fn notice_time(&mut self, now: Instant, settings: &Settings) -> Effect {
        match self.phase {
            Phase::Open { until } if now >= until => {
                let next = Phase::HalfOpen(Probes::default());
                self.change(next, TransitionReason::OpenTimeOver)
            }
            Phase::HalfOpen(probes) if probes.until.is_some_and(|until| now >= until) => {
                self.open(TransitionReason::ProbeHung, now, settings)
            }
            _ => Effect::None,
        }
    }

    fn open(&mut self, reason: TransitionReason, now: Instant, settings: &Settings) -> Effect {
        let until = now + self.open_for;
        self.open_for = settings.grown(self.open_for);
        self.change(Phase::Open { until }, reason)
    }

    fn change(&mut self, next: Phase, reason: TransitionReason) -> Effect {
        let from = self.state();
        self.phase = next;
        self.generation += 1;
        Effect::Changed(Transition {
            from,
            to: self.state(),
            reason,
            generation: self.generation,
        })
    }
}

fn too_bad(totals: Totals, settings: &Settings) -> Option<TransitionReason> {
    let calls = totals.calls;
    let rate = totals.failure_rate();
    if rate >= settings.failure_rate {
        return Some(TransitionReason::FailureRate { rate, calls });
    }
    let rate = totals.slow_rate();
    let limit = settings.slow?.rate;
    (rate >= limit).then_some(TransitionReason::SlowRate { rate, calls })
}

// === impl Phase ===

impl Phase {
    fn state(self) -> BreakerState {
        match self {
            Self::Closed => BreakerState::Closed,
            Self::Open { .. } => BreakerState::Open,
            Self::HalfOpen(_) => BreakerState::HalfOpen,
            Self::ForcedOpen => BreakerState::ForcedOpen,
            Self::ForcedClosed => BreakerState::ForcedClosed,
        }
    }
}

// === impl Probes ===

impl Probes {
    /// Lets one more out, or says until when that may take.
    fn enter(&mut self, now: Instant, settings: &Settings) -> Result<(), Instant> {
        let until = *self.until.get_or_insert(now + settings.half_open_for);
        if self.out >= settings.probes {
            return Err(until);
        }
        self.out += 1;
        Ok(())
    }

    /// Nobody is out: nobody can hang.
    fn give_back(&mut self) {
        self.out = self.out.saturating_sub(1);
        if self.out == 0 {
            self.until = None;
        }
    }
}
