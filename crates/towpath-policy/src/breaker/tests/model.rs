//! The breaker against a model of it that is slow and simple, under random schedules.

mod reference;

use std::collections::BTreeSet;

use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

use super::*;
use reference::{Reference, Told};

#[derive(Clone, Debug)]
enum Step {
    Enter,
    /// Ends one of the calls that are out, chosen by the number.
    End(usize, Verdict, u64),
    Cancel(usize),
    /// A call that begins and ends.
    Call(Verdict, u64),
    Advance(u64),
    Force(Forced),
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        4 => Just(Verdict::Success),
        4 => Just(Verdict::Failure),
        1 => Just(Verdict::Ignored),
    ]
}

fn forced() -> impl Strategy<Value = Forced> {
    prop_oneof![
        1 => Just(Forced::Open),
        1 => Just(Forced::Closed),
        4 => Just(Forced::Auto)
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let which = any::<usize>;
    let took = || prop_oneof![0..20_u64, 0..3000_u64];
    prop_oneof![
        6 => Just(Step::Enter),
        6 => (which(), verdict(), took()).prop_map(|(i, v, ms)| Step::End(i, v, ms)),
        2 => which().prop_map(Step::Cancel),
        8 => (verdict(), took()).prop_map(|(v, ms)| Step::Call(v, ms)),
        4 => (0..400_u64).prop_map(Step::Advance),
        1 => (0..20_000_u64).prop_map(Step::Advance),
        1 => forced().prop_map(Step::Force),
    ]
}

prop_compose! {
    fn options()(
        rate in prop_oneof![Just(0.5), Just(1.0), 0.05..1.0],
        over in prop_oneof![
            (1..40_u32).prop_map(Err),
            (1..5000_u64).prop_map(Ok),
        ],
        slow in proptest::option::of((0.1..1.0, 1..30_u64)),
        min in prop_oneof![1..15_u32, 1..40_u32],
        open_ms in 1..2000_u64,
        growing in proptest::option::of((1.0..4.0, 1..5_u32)),
        probes in 1..5_u32,
        successes in 1..8_u32,
        half_open_ms in 1..2000_u64,
    ) -> CircuitBreaker {
        let options = CircuitBreaker::failure_rate(rate)
            .open_for(ms(open_ms))
            .probes(probes)
            .probe_successes(successes)
            .half_open_for(ms(half_open_ms));
        let options = match over {
            Ok(window) => options.over(ms(window)).min_calls(min),
            Err(calls) => options.over_calls(calls).min_calls(min.min(calls)),
        };
        let options = match slow {
            Some((rate, threshold)) => options.slow_calls(rate, ms(threshold)),
            None => options,
        };
        match growing {
            Some((factor, times)) => options.growing(factor, ms(open_ms) * times),
            None => options,
        }
    }
}

/// The breaker and its model, side by side; passes of both are held together.
struct Pair {
    rig: Rig,
    model: Reference,
    out: Vec<(Pass, reference::Pass)>,
}

impl Pair {
    fn new(options: &CircuitBreaker) -> Self {
        let rig = Rig::new(options);
        let model = Reference::new(options.clone());
        Self {
            rig,
            model,
            out: Vec::new(),
        }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Enter => {
                self.enter();
            }
            Step::End(which, verdict, took) => {
                if let Some(call) = self.choose(which) {
                    self.end(call, verdict, took);
                }
            }
            Step::Cancel(which) => {
                if let Some((pass, modelled)) = self.choose(which) {
                    self.rig.breaker.cancel(pass);
                    self.model.cancel(&modelled);
                }
            }
            Step::Call(verdict, took) => {
                self.enter();
                if let Some(call) = self.out.pop() {
                    self.end(call, verdict, took);
                }
            }
            Step::Advance(time) => {
                self.rig.advance(ms(time));
                self.model.advance(ms(time));
            }
            Step::Force(forced) => {
                self.rig.breaker.force(forced);
                self.model.force(forced);
            }
        }
        self.compare();
    }

    fn enter(&mut self) {
        match (self.rig.enter(), self.model.enter()) {
            (Entry::Pass(pass), Told::Go(modelled)) => self.out.push((pass, modelled)),
            (Entry::Wait { until }, Told::Wait(wait)) => {
                if let Some(wait) = wait {
                    assert_eq!(until - self.rig.now, wait);
                }
            }
            (entry, told) => panic!("{entry:?}, but the model says {told:?}"),
        }
    }

    fn choose(&mut self, which: usize) -> Option<(Pass, reference::Pass)> {
        let count = self.out.len();
        (count > 0).then(|| self.out.swap_remove(which % count))
    }

    fn end(&mut self, (pass, modelled): (Pass, reference::Pass), verdict: Verdict, took: u64) {
        let took = ms(took);
        let now = self.rig.now;
        self.rig.breaker.record(pass, verdict, Some(took), now);
        self.model.end(&modelled, verdict, took);
    }

    fn compare(&mut self) {
        assert_eq!(self.rig.state(), self.model.state());
        let status = self.rig.breaker.status(self.rig.now);
        let seen = (status.calls, status.failure_rate, status.slow_rate);
        assert_eq!(seen, self.model.window());
        assert_eq!(status.probes, self.model.probes_out());
        for (pass, modelled) in &self.out {
            let is_current = self.rig.breaker.is_current(*pass);
            assert_eq!(is_current, self.model.is_current(modelled));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn does_what_the_model_does(
        options in options(),
        steps in proptest::collection::vec(step(), 1..300),
    ) {
        let mut pair = Pair::new(&options);
        for step in &steps {
            pair.take(step);
        }
    }
}

/// A model that agrees because nothing happens would prove nothing.
#[test]
fn the_schedules_make_every_change_happen() {
    let mut runner = TestRunner::deterministic();
    let schedules = (options(), proptest::collection::vec(step(), 300));
    let mut reasons = BTreeSet::new();
    for _ in 0..100 {
        let (options, steps) = schedules.new_tree(&mut runner).unwrap().current();
        let mut pair = Pair::new(&options);
        let (_subscription, changes) = record_changes(&pair.rig.breaker);
        for step in &steps {
            pair.take(step);
        }
        reasons.extend(changes.try_iter().map(|change| kind(&change)));
    }
    assert_eq!(reasons.len(), 8, "{reasons:?}");
}

fn kind(change: &Transition) -> String {
    let reason = format!("{:?}", change.reason);
    reason.split(' ').next().unwrap_or_default().to_owned()
}
