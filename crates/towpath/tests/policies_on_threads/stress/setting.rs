//! A stage with any policies.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::num::NonZeroUsize;

use towpath::{
    CircuitBreaker, Concurrency, Dedup, Flow, Policies, Processor, RateLimit, Retry, Timeout,
    policy::{Again, Flat},
    processor::Operator,
};

use super::backend::Backend;
use crate::{Chance, ms, size};

#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) name: &'static str,
    pub(super) timeout: Option<u64>,
    concurrency: usize,
    workers: usize,
    order: u64,
    attempts: u32,
    delay: u64,
    /// How long it is open, and whether calls wait for that.
    breaker: Option<(u64, bool)>,
    limit: Limit,
    adaptive: Option<usize>,
    dedup: bool,
    parked: usize,
    deadline: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    No,
    Flat,
    Keyed,
}

impl Setting {
    pub(super) fn any(name: &'static str, chance: &mut Chance) -> Self {
        let limits = [Limit::No, Limit::Flat, Limit::Keyed];
        Self {
            name,
            timeout: (!chance.one_in(3)).then(|| chance.within(5, 20)),
            concurrency: size(chance.within(1, 24)),
            workers: size(chance.within(1, 4)),
            order: chance.below(3),
            attempts: u32::try_from(chance.within(1, 5)).unwrap(),
            delay: chance.within(1, 5),
            breaker: (!chance.one_in(3)).then(|| (chance.within(5, 20), !chance.one_in(3))),
            limit: limits[size(chance.below(3))],
            adaptive: chance.one_in(3).then(|| size(chance.within(1, 32))),
            dedup: chance.one_in(2),
            parked: size(chance.within(1, 40)),
            deadline: chance.one_in(4).then(|| chance.within(10, 100)),
        }
    }

    /// The most calls at once.
    pub(super) fn most(&self) -> usize {
        self.adaptive.unwrap_or(self.concurrency)
    }

    fn policies(&self) -> Policies<Flat, Again> {
        let retry = Retry::fixed(ms(self.delay))
            .attempts(self.attempts)
            .budget(1000.0);
        let mut policies = Policies::new().retry(retry);
        if let Some(timeout) = self.timeout {
            policies = policies.timeout(Timeout::after(ms(timeout)));
        }
        if let Some((open_for, waits)) = self.breaker {
            let breaker = CircuitBreaker::failure_rate(0.5)
                .over_calls(20)
                .min_calls(10)
                .open_for(ms(open_for));
            policies = policies.circuit_breaker(if waits {
                breaker.waiting()
            } else {
                breaker.rejecting()
            });
        }
        if let Some(most) = self.adaptive {
            policies = policies.concurrency(Concurrency::adaptive().between(1, most).start_at(1));
        }
        policies
    }

    pub(super) fn add_to<O: Operator<Out = u64>>(
        &self,
        flow: Flow<O>,
        backend: &Backend,
    ) -> Flow<impl Operator<Out = u64> + use<O>> {
        let backend = backend.clone();
        let mut stage = Processor::new(self.name, move |n| backend.call(n))
            .workers(self.workers)
            .policies(self.policies())
            .max_parked(NonZeroUsize::new(self.parked).unwrap());
        if let Some(deadline) = self.deadline {
            stage = stage.deadline(ms(deadline));
        }
        let limit = RateLimit::per_second(20_000).burst(5);
        if self.limit == Limit::Flat {
            stage = stage.rate_limit(limit.clone());
        }
        macro_rules! ordered {
            ($stage:expr) => {
                match self.order {
                    0 => flow.process($stage.unordered(self.concurrency)),
                    1 => flow.process($stage.ordered(self.concurrency)),
                    _ => flow.process($stage.by_key(self.concurrency, |n: &u64| n % 7)),
                }
            };
        }
        let limit = limit.by_key(|n: &u64| n % 5);
        // Two of three messages have one key.
        let dedup = Dedup::by_key(|n: &u64| n / 3 * 3 + n % 3 / 2);
        match (self.limit == Limit::Keyed, self.dedup) {
            (false, false) => ordered!(stage),
            (false, true) => ordered!(stage.dedup(dedup)),
            (true, false) => ordered!(stage.rate_limit(limit)),
            (true, true) => ordered!(stage.rate_limit(limit).dedup(dedup)),
        }
    }
}
