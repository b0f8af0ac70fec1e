//! Any policies, any behaviour of the handler: every message ends once, within its attempts.

use std::{collections::HashMap, num::NonZeroUsize, sync::Arc};

use proptest::{collection::vec, option, prelude::*};
use tokio::time::timeout;
use towpath::{
    BoxError, CircuitBreaker, Flow, Pipeline, Policies, Processor, RateLimit, Report, Retry,
    Timeout,
    policy::{Again, Flat, HttpStatus, RetryAfter},
};
use towpath_test::{Outcomes, TestSource, assert_no_leaks, paused};

use super::{Calls, HOUR, SECOND, ms};

/// What the handler does about one message.
#[derive(Clone, Copy, Debug)]
enum Act {
    Succeed,
    Fail(usize),
    Hang(usize),
    Panic(usize),
    Busy(u64),
    Refuse,
}

/// The policies of the stage, and what else there is to it.
#[derive(Clone, Copy, Debug)]
struct Setting {
    attempts: Option<u32>,
    backoff: u64,
    budget: f64,
    within: Option<u64>,
    breaker: Option<(bool, u32)>,
    rate: Option<(u32, bool)>,
    timeout: u64,
    deadline: Option<u64>,
    slots: usize,
    workers: usize,
    parked: usize,
    discipline: u8,
    stop_after: Option<u64>,
    kill_after: Option<u64>,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => Just(Act::Succeed),
        3 => (1..5_usize).prop_map(Act::Fail),
        1 => (1..3_usize).prop_map(Act::Hang),
        1 => (0..3_usize).prop_map(Act::Panic),
        1 => (1..3000_u64).prop_map(Act::Busy),
        1 => Just(Act::Refuse),
    ];
    vec(act, 1..80)
}

prop_compose! {
    fn settings()(
        (attempts, backoff, budget, within) in
            (option::of(1..5_u32), 0..2000_u64, 0.0..5.0_f64, option::of(1..5000_u64)),
        breaker in option::of((any::<bool>(), 1..20_u32)),
        rate in option::of((1..200_u32, any::<bool>())),
        (timeout, deadline) in (1..1000_u64, option::of(1..20_000_u64)),
        (slots, workers, parked, discipline) in (1..9_usize, 1..4_usize, 1..40_usize, 0..3_u8),
        (stop_after, kill_after) in (option::weighted(0.3, 0..3000_u64), option::weighted(0.3, 0..3000_u64)),
    ) -> Setting {
        Setting {
            attempts, backoff, budget, within, breaker, rate, timeout, deadline,
            slots, workers, parked, discipline, stop_after, kill_after,
        }
    }
}

impl Setting {
    fn policies(&self) -> Policies<Flat, Again> {
        // Without a retry there is one attempt all the same.
        let mut retry = Retry::fixed(ms(self.backoff))
            .attempts(self.attempts.unwrap_or(1))
            .budget(self.budget);
        if let Some(within) = self.within {
            retry = retry.deadline(ms(within));
        }
        let mut policies = Policies::new()
            .retry(retry)
            .timeout(Timeout::after(ms(self.timeout)));
        if let Some((waits, min_calls)) = self.breaker {
            let breaker = CircuitBreaker::failure_rate(0.5)
                .min_calls(min_calls)
                .open_for(SECOND);
            policies = policies.circuit_breaker(if waits {
                breaker.waiting()
            } else {
                breaker.rejecting()
            });
        }
        policies
    }

    fn pipeline(self, calls: &Calls, acts: Vec<Act>) -> (Pipeline, Outcomes) {
        let items = 0..acts.len() as u64;
        let (source, outcomes) = TestSource::new(items).build();
        let stage = Processor::new("call", handler(calls, acts))
            .workers(self.workers)
            .policies(self.policies())
            .max_parked(NonZeroUsize::new(self.parked).unwrap());
        let limit = RateLimit::per_second(self.rate.map_or(1000, |rate| rate.0)).burst(3);
        let flow = Flow::from(source);
        macro_rules! with {
            ($stage:expr) => {
                match self.discipline {
                    0 => flow.process($stage.unordered(self.slots)),
                    1 => flow.process($stage.ordered(self.slots)),
                    _ => flow.process($stage.by_key(self.slots, |n: &u64| n % 5)),
                }
            };
        }
        let flow = match self.rate {
            None => with!(stage),
            Some((_, false)) => with!(stage.rate_limit(limit)),
            Some((_, true)) => with!(stage.rate_limit(limit.by_key(|n: &u64| n % 7))),
        };
        let mut pipeline = flow.acknowledge();
        if let Some(deadline) = self.deadline {
            pipeline = pipeline.deadline(ms(deadline));
        }
        (pipeline, outcomes)
    }
}

fn handler(
    calls: &Calls,
    acts: Vec<Act>,
) -> impl Fn(u64) -> super::Handled + Clone + Send + Sync + 'static {
    let (calls, acts) = (calls.clone(), Arc::new(acts));
    move |item| {
        let (calls, acts) = (calls.clone(), acts.clone());
        Box::pin(async move {
            let before = super::deep_inside(&calls, item).await;
            tokio::time::sleep(ms(item % 4)).await;
            match acts[usize::try_from(item).unwrap()] {
                Act::Fail(times) if before < times => Err(BoxError::from("fails")),
                Act::Hang(times) if before < times => std::future::pending().await,
                Act::Panic(after) if before == after => panic!("on cue"),
                Act::Panic(_) => Err("fails".into()),
                Act::Busy(millis) if before == 0 => {
                    Err(RetryAfter::new(ms(millis), HttpStatus(429)).into())
                }
                Act::Refuse => Err(HttpStatus(422).into()),
                _ => Ok(item),
            }
        })
    }
}

async fn run(setting: Setting, acts: Vec<Act>) -> (Report, Calls, Outcomes) {
    let calls = Calls::default();
    let (pipeline, outcomes) = setting.pipeline(&calls, acts);
    let running = pipeline.start().await.unwrap();
    let handle = running.handle().clone();
    let disturb = async {
        if let Some(after) = setting.kill_after {
            tokio::time::sleep(ms(after)).await;
            drop(handle.kill_worker("call", 0));
        }
        if let Some(after) = setting.stop_after {
            tokio::time::sleep(ms(after)).await;
            handle.drain_within(30 * SECOND);
        }
    };
    let ended = timeout(100 * HOUR, async {
        tokio::join!(running.join(), disturb).0
    })
    .await;
    (ended.expect("it ends").unwrap(), calls, outcomes)
}

fn holds(setting: Setting, acts: &[Act], report: &Report, calls: &Calls, outcomes: &Outcomes) {
    assert_no_leaks(report);
    assert_eq!(outcomes.total() as u64, report.counts.emitted);
    let mut made = HashMap::<u64, Vec<u32>>::new();
    for call in calls.all() {
        made.entry(call.item).or_default().push(call.attempt);
    }
    let attempts = setting.attempts.unwrap_or(1);
    for n in 0..report.counts.emitted {
        let (told, tries) = (outcomes.only(n), made.remove(&n).unwrap_or_default());
        // Attempts that a breaker excuses are repeated, with their number.
        let excuses = matches!(setting.breaker, Some((true, _)));
        assert!(
            excuses || tries.len() <= attempts as usize,
            "{n}: {tries:?}"
        );
        assert!(
            tries.iter().all(|attempt| *attempt <= attempts),
            "{n}: {tries:?}"
        );
        assert!(tries.is_sorted(), "{n}: {tries:?}");
        if told.is_done() {
            assert!(
                !matches!(
                    acts[usize::try_from(n).unwrap()],
                    Act::Refuse | Act::Panic(_)
                ),
                "{n}"
            );
            assert!(!tries.is_empty(), "{n} is done, and was not called");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whatever_the_policies_and_the_handler_do_every_message_ends_once_within_its_attempts(
        setting in settings(),
        acts in acts(),
    ) {
        paused(async {
            let (report, calls, outcomes) = run(setting, acts.clone()).await;
            holds(setting, &acts, &report, &calls, &outcomes);
        });
    }
}
