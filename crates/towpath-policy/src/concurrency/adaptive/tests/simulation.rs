//! A service that bears so many calls at once, and callers behind an adaptive limit, in
//! virtual time: no task, no clock.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    task::Waker,
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    Concurrency,
    concurrency::{Adaptive, Permits},
    line::Place,
};

/// How long a call takes on average when it is served at once; the length of a window.
pub(super) const LATENCY: Duration = Duration::from_millis(100);

/// What the service does with more calls than it bears.
#[derive(Clone, Copy, Debug)]
pub(super) enum Overload {
    /// They wait inside, first come first served, and the caller sees only that it is slow.
    Queues,
    /// It says at once that it is overloaded.
    Rejects,
}

/// How much the time that a call takes varies.
#[derive(Clone, Copy, Debug)]
pub(super) enum Noise {
    None,
    /// By a half, both ways.
    Uniform,
    /// As much as its mean: one in twenty takes three times as long.
    Exponential,
    /// One in a hundred hangs for twenty times as long.
    Hangs,
}

#[derive(Debug)]
pub(super) struct Simulation {
    pub(super) capacity: usize,
    /// How many calls there are to be made at once, at most.
    pub(super) callers: usize,
    pub(super) latency: Duration,
    overload: Overload,
    noise: Noise,
    random: fastrand::Rng,
    now: Instant,
    adaptive: Adaptive,
    permits: Permits,
    serving: usize,
    /// When the calls began that the service has not looked at.
    queue: VecDeque<Instant>,
    ends: BinaryHeap<Reverse<End>>,
    begun: u64,
}

/// When a call ends, earliest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct End {
    at: Instant,
    /// Those that end at once end in the order in which they began.
    number: u64,
    began: Instant,
    is_rejected: bool,
}

impl Simulation {
    /// With more callers than ever get through.
    pub(super) fn new(options: &Concurrency, overload: Overload, noise: Noise, seed: u64) -> Self {
        let adaptive = Adaptive::new(options.adaptive_options().expect("it is adaptive"));
        Self {
            capacity: usize::MAX,
            callers: usize::MAX,
            latency: LATENCY,
            overload,
            noise,
            random: fastrand::Rng::with_seed(seed),
            now: Instant::now(),
            permits: Permits::new(adaptive.initial()),
            adaptive,
            serving: 0,
            queue: VecDeque::new(),
            ends: BinaryHeap::new(),
            begun: 0,
        }
    }

    /// Lets so many windows pass; the limit at the end of each.
    pub(super) fn run(&mut self, windows: usize) -> Vec<usize> {
        let mut limits = Vec::with_capacity(windows);
        for _ in 0..windows {
            self.run_until(self.now + LATENCY);
            limits.push(self.permits.limit());
        }
        limits
    }

    fn run_until(&mut self, until: Instant) {
        self.begin_calls();
        while let Some(Reverse(end)) = self.ends.peek().copied()
            && end.at <= until
        {
            self.ends.pop();
            self.now = end.at;
            self.end(end);
            self.begin_calls();
        }
        self.now = until;
    }

    fn begin_calls(&mut self) {
        while self.permits.in_use() < self.callers.min(self.permits.limit()) {
            let acquired = self
                .permits
                .poll_acquire(&mut Place::default(), Waker::noop());
            assert!(acquired.is_ready());
            if matches!(self.overload, Overload::Rejects) && self.serving >= self.capacity {
                self.end_after(LATENCY / 10, self.now, true);
            } else {
                self.queue.push_back(self.now);
            }
            self.serve();
        }
    }

    fn serve(&mut self) {
        while self.serving < self.capacity
            && let Some(began) = self.queue.pop_front()
        {
            self.serving += 1;
            let time = self.service_time();
            self.end_after(time, began, false);
        }
    }

    fn end_after(&mut self, time: Duration, began: Instant, is_rejected: bool) {
        self.begun += 1;
        self.ends.push(Reverse(End {
            at: self.now + time,
            number: self.begun,
            began,
            is_rejected,
        }));
    }

    fn service_time(&mut self) -> Duration {
        let random = self.random.f64();
        self.latency.mul_f64(match self.noise {
            Noise::None => 1.0,
            Noise::Uniform => 0.5 + random,
            Noise::Exponential => -(1.0 - random).ln(),
            Noise::Hangs if random < 0.01 => 20.0,
            Noise::Hangs => 0.8 + 0.4 * self.random.f64(),
        })
    }

    fn end(&mut self, call: End) {
        if !call.is_rejected {
            self.serving -= 1;
            self.serve();
        }
        let (in_use, limit) = (self.permits.in_use(), self.permits.limit());
        let took = self.now - call.began;
        let changed = self
            .adaptive
            .observe(self.now, took, call.is_rejected, in_use, limit);
        if let Some(limit) = changed {
            self.permits.set_limit(limit);
        }
        self.permits.release();
    }
}
