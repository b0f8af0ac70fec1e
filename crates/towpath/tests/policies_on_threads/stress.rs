//! Any policies, any handlers, and somebody who meddles: every run ends, and every message once.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod backend;
mod meddler;
mod setting;

use std::time::Duration;

use tokio::time::{Instant, timeout};
use towpath::{Flow, Pipeline, PipelineHandle, PolicyStatus, Report, Restarts};
use towpath_test::{Outcomes, TestSource, assert_no_leaks};

use crate::{Chance, ms, size};
use backend::Backend;
use meddler::{Meddles, meddle};
use setting::Setting;

/// Messages of a case.
const MESSAGES: u64 = 2000;
/// How long the cases of a test take together, as many as fit.
const TIME: Duration = Duration::from_secs(5);
/// What takes longer hangs. Less than what a breaker gives its probes: nobody is to wait for
/// that to be over.
const HANGS: Duration = Duration::from_secs(25);

/// A pipeline of two stages, and what happens to it.
struct Case {
    seed: u64,
    stages: [(Setting, Backend); 2],
    meddles: Meddles,
}

impl Case {
    fn new(seed: u64, meddles: fn(&mut Chance) -> Meddles) -> Self {
        let mut chance = Chance::new(seed);
        let mut stage = |name| {
            let setting = Setting::any(name, &mut chance);
            let backend = Backend::new(chance.below(u64::MAX), setting.timeout.is_some());
            (setting, backend)
        };
        Self {
            stages: [stage("first"), stage("second")],
            meddles: meddles(&mut chance),
            seed,
        }
    }

    fn pipeline(&self) -> (Pipeline, Outcomes) {
        let (source, outcomes) = TestSource::of(0..MESSAGES);
        let [(first, one), (second, two)] = &self.stages;
        let flow = first.add_to(Flow::from(source), one);
        let flow = second.add_to(flow, two);
        let pipeline = flow
            .acknowledge()
            .restarts(Restarts::at_most(100, Duration::from_secs(1)));
        (pipeline, outcomes)
    }

    async fn run(&self) {
        let (pipeline, outcomes) = self.pipeline();
        let running = pipeline.start().await.unwrap();
        let handle = running.handle().clone();
        let run = async {
            tokio::select! {
                report = running.join() => report.unwrap(),
                never = meddle(&handle, &outcomes, self) => match never {},
            }
        };
        let Ok(report) = timeout(HANGS, run).await else {
            self.hangs(&handle);
        };
        self.holds(&report, &outcomes);
        self.holds_nothing(&handle);
    }

    fn hangs(&self, handle: &PipelineHandle) -> ! {
        let status = serde_json::to_string_pretty(&handle.status()).unwrap();
        panic!("{self} hangs: {status}");
    }

    /// Every message has one outcome, and no more ran at once than may.
    fn holds(&self, report: &Report, outcomes: &Outcomes) {
        assert_no_leaks(report);
        let mut told: Vec<_> = outcomes.words().iter().map(|(n, _)| *n).collect();
        told.sort_unstable();
        assert!(told.is_sorted_by(|a, b| a < b), "{self}: told twice");
        assert_eq!(told.len() as u64, report.counts.emitted, "{self}");
        if self.meddles.ends_by_itself() {
            assert_eq!(report.counts.emitted, MESSAGES, "{self}\n{report}");
            if self.meddles.kills == 0 {
                let received = report.stages[0].counts.received;
                assert_eq!(received, MESSAGES, "{self}\n{report}");
            }
        }
        for (setting, backend) in &self.stages {
            let most = setting.most().max(self.meddles.most());
            assert!(backend.most() <= most, "{self}: {}", backend.most());
        }
    }

    /// No call is left, and none of what calls hold.
    fn holds_nothing(&self, handle: &PipelineHandle) {
        for (setting, backend) in &self.stages {
            assert_eq!(backend.running(), 0, "{self}");
            for status in handle.policies(setting.name).unwrap() {
                let left = match status {
                    PolicyStatus::Concurrency {
                        in_use, waiting, ..
                    } => in_use + waiting,
                    PolicyStatus::RateLimit { waiting, .. } => waiting,
                    _ => 0,
                };
                assert_eq!(left, 0, "{self}: {status:?}");
            }
        }
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [(first, _), (second, _)] = &self.stages;
        write!(
            f,
            "seed {}: {first:?}, {second:?}, {:?}",
            self.seed, self.meddles
        )
    }
}

async fn cases(first: u64, meddles: fn(&mut Chance) -> Meddles) {
    let begun = Instant::now();
    let mut seed = first;
    while begun.elapsed() < TIME {
        let case = Instant::now();
        Case::new(seed, meddles).run().await;
        println!("seed {seed}: {:?}", case.elapsed());
        seed += 1;
    }
    assert!(seed > first, "some case was run");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_message_ends_once_whatever_the_policies_and_the_handlers_do() {
    cases(1000, |_| Meddles::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stop_in_the_middle_ends_what_waits_and_every_message_once() {
    cases(2000, |chance| Meddles {
        stop_after: Some(size(chance.below(MESSAGES))),
        within: chance.one_in(2).then(|| ms(chance.within(1, 30))),
        ..Meddles::default()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn policies_that_change_and_workers_that_die_while_calls_run_lose_nothing() {
    cases(3000, |chance| Meddles {
        changes: chance.within(1, 40),
        kills: chance.below(6),
        stop_after: chance.one_in(3).then(|| size(chance.below(MESSAGES))),
        within: chance.one_in(3).then(|| ms(chance.within(1, 30))),
    })
    .await;
}
