//! The policies of a stage, read and changed while a pipeline runs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    slice::from_ref,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use towpath::{
    Event, EventKind, Flow, Pipeline, Processor, StageName,
    core::{
        BreakerState, FailureHook, ForcedBreaker, PolicyControl, PolicyError, PolicyListener,
        PolicyStatus, Ports, Stage, StageInfo, Work,
    },
    runtime::ControlError,
};
use towpath_test::{Cue, TestSource, assert_no_leaks};

use super::SECOND;
use crate::events::Events;

/// Policies that keep what they were told.
#[derive(Default)]
struct Fake {
    told: Mutex<Vec<String>>,
    listener: Mutex<Option<Weak<PolicyListener>>>,
    breaks: bool,
    has_breaker: bool,
}

impl Fake {
    fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }

    fn note(&self, told: String) {
        self.told.lock().unwrap().push(told);
    }

    fn listener(&self) -> Option<Arc<PolicyListener>> {
        self.listener.lock().unwrap().as_ref()?.upgrade()
    }
}

impl PolicyControl for Fake {
    fn set_rate(&self, calls: u64, per: Duration) -> Result<(), PolicyError> {
        if calls > 1000 {
            let asked = format!("{calls} per {per:?}");
            return Err(PolicyError::invalid("rate limit", asked, "it is too fast"));
        }
        self.note(format!("{calls} per {per:?}"));
        Ok(())
    }

    fn force_breaker(&self, forced: ForcedBreaker) -> Result<(), PolicyError> {
        if !self.has_breaker {
            return Err(PolicyError::missing("circuit breaker"));
        }
        self.note(forced.to_string());
        Ok(())
    }

    fn set_concurrency(&self, concurrency: usize) {
        self.note(format!("{concurrency} at once"));
    }

    fn status(&self) -> Vec<PolicyStatus> {
        assert!(!self.breaks, "broken");
        vec![PolicyStatus::Timeout {
            after: SECOND,
            timed_out: 7,
        }]
    }

    fn observe(&self, listener: Weak<PolicyListener>) {
        *self.listener.lock().unwrap() = Some(listener);
    }
}

/// A stage with such policies around it, and room for messages that wait for them.
struct Policed<S> {
    stage: S,
    policies: Arc<Fake>,
    parking: usize,
}

impl<T, S: Stage<T>> Stage<T> for Policed<S> {
    type Out = S::Out;

    fn info(&self) -> StageInfo {
        self.stage.info().parking(self.parking)
    }

    fn hook(&self) -> Option<FailureHook> {
        self.stage.hook()
    }

    fn policies(&self) -> Option<Arc<dyn PolicyControl>> {
        Some(self.policies.clone())
    }

    fn work(&self, worker: usize, ports: Ports<T, S::Out>) -> Work {
        self.stage.work(worker, ports)
    }
}

/// A stage `policed` and a stage `plain`; the cue holds calls of the former.
fn pipeline(cue: &Cue<u64>, policies: &Arc<Fake>, parking: usize) -> Pipeline {
    let (source, _) = TestSource::new(0..1000_u64).named("numbers").build();
    let stage = Processor::new("policed", cue.handler())
        .unordered(4)
        .workers(2);
    let policed = Policed {
        stage,
        policies: policies.clone(),
        parking,
    };
    Flow::from(source)
        .process(policed)
        .process(Processor::new("plain", Cue::new().handler()))
        .acknowledge()
}

#[tokio::test(start_paused = true)]
async fn changes_reach_the_policies_of_a_stage_and_are_told_as_events() {
    let events = Events::new();
    let policies = Arc::new(Fake {
        has_breaker: true,
        ..Fake::default()
    });
    let pipeline = pipeline(&Cue::new(), &policies, 0).observer(events.observer());
    let running = pipeline.start().await.unwrap();
    let handle = running.handle();
    handle.set_rate("policed", 5, SECOND).unwrap();
    handle.set_concurrency("policed", 3).unwrap();
    let forced = ForcedBreaker::Open;
    handle.force_breaker("policed", forced).unwrap();
    assert_eq!(policies.told(), ["5 per 1s", "3 at once", "forced open"]);
    let (calls, per) = (5, SECOND);
    for kind in [
        EventKind::RateChanged { calls, per },
        EventKind::ConcurrencyChanged { concurrency: 3 },
        EventKind::BreakerForced { forced },
    ] {
        let at_stage = |event: &Event| event.stage == StageName::from("policed");
        let count = events.count(|event| at_stage(event) && said(&event.kind) == said(&kind));
        assert_eq!(count, 1, "{kind:?}");
    }
    assert_no_leaks(&running.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_change_that_cannot_be_made_says_why_and_changes_nothing() {
    let (policies, events) = (Arc::<Fake>::default(), Events::new());
    let pipeline = pipeline(&Cue::new(), &policies, 0).observer(events.observer());
    let running = pipeline.start().await.unwrap();
    let handle = running.handle();
    let unknown = handle.set_rate("nobody", 5, SECOND).unwrap_err();
    assert!(matches!(unknown, ControlError::UnknownStage { .. }));
    let plain = handle.set_rate("plain", 5, SECOND).unwrap_err();
    assert_eq!(plain.to_string(), "stage plain has no rate limit");
    let open = ForcedBreaker::Open;
    let breaker = handle.force_breaker("policed", open).unwrap_err();
    assert_eq!(breaker.to_string(), "stage policed has no circuit breaker");
    for (calls, per, why) in [
        (0, SECOND, "it must let at least 1 call through"),
        (5, Duration::ZERO, "the period must be longer than zero"),
        (9999, SECOND, "it is too fast"),
    ] {
        let refused = handle.set_rate("policed", calls, per).unwrap_err();
        let ControlError::Policy { stage, source } = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(stage.as_str(), "policed");
        assert!(source.to_string().ends_with(why), "{source}");
    }
    assert_eq!(policies.told(), Vec::<String>::new());
    let changes = |kind: &EventKind| {
        matches!(
            kind,
            EventKind::RateChanged { .. } | EventKind::BreakerForced { .. }
        )
    };
    assert_eq!(events.count(|event| changes(&event.kind)), 0);
    assert_no_leaks(&running.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn status_and_report_show_each_policy_of_a_stage() {
    let policies = Arc::<Fake>::default();
    let running = pipeline(&Cue::new(), &policies, 0).start().await.unwrap();
    let handle = running.handle().clone();
    let timeout = PolicyStatus::Timeout {
        after: SECOND,
        timed_out: 7,
    };
    let status = handle.status();
    let shown: Vec<_> = status.stages.iter().map(|s| s.policies.clone()).collect();
    assert_eq!(shown, [vec![timeout.clone()], vec![]]);
    assert_eq!(handle.policies("policed").unwrap(), from_ref(&timeout));
    assert_eq!(handle.policies("plain").unwrap(), []);
    assert!(handle.policies("nobody").is_err());
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(report.stages[0].policies, [timeout]);
    let json = serde_json::to_value(&report.stages).unwrap();
    assert_eq!(json[0]["policies"][0]["policy"], "timeout");
    assert!(json[1].get("policies").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_reports_even_if_its_policies_panic_when_asked() {
    let policies = Arc::new(Fake {
        breaks: true,
        ..Fake::default()
    });
    let report = pipeline(&Cue::new(), &policies, 0).run().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(report.counts.done, 1000);
    assert_eq!(report.stages[0].policies, []);
}

#[tokio::test(start_paused = true)]
async fn what_a_policy_does_by_itself_is_an_event_of_its_stage_until_the_pipeline_ends() {
    let (policies, events) = (Arc::<Fake>::default(), Events::new());
    let pipeline = pipeline(&Cue::new(), &policies, 0).observer(events.observer());
    let running = pipeline.start().await.unwrap();
    let handle = running.handle().clone();
    let opened = EventKind::BreakerChanged {
        from: BreakerState::Closed,
        to: BreakerState::Open,
    };
    let listener = policies.listener().expect("it runs");
    listener(opened.clone());
    drop(listener);
    let told = events.count(|event| {
        event.stage == StageName::from("policed") && said(&event.kind) == said(&opened)
    });
    assert_eq!(told, 1);
    assert_no_leaks(&running.join().await.unwrap());
    assert!(policies.listener().is_none(), "though the handle lives on");
    assert_eq!(handle.policies("policed").unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stage_has_slots_for_what_is_parked_and_the_bound_counts_them_once() {
    let policies = Arc::<Fake>::default();
    let cue = Cue::new().hang_when(|_| true);
    let plain = pipeline(&cue, &policies, 0).max_demand(1);
    let parked = pipeline(&cue, &policies, 10).max_demand(1);
    assert_eq!(parked.explain().bound(), plain.explain().bound() + 10);
    let shown = parked.topology().to_string();
    assert!(shown.contains("policed x4 and 10 parked ("), "{shown}");
    let running = parked.start().await.unwrap();
    cue.wait_for(14).await;
    crate::events::idle().await;
    assert_eq!(cue.calls(), 14, "all slots, and no more");
    let handle = running.handle();
    assert_eq!(handle.status().stages[0].concurrency, 4);
    handle.set_concurrency("policed", 6).unwrap();
    cue.wait_for(16).await;
    crate::events::idle().await;
    assert_eq!(cue.calls(), 16);
    let status = handle.status();
    assert!(status.counts.in_flight <= status.bound);
    cue.release();
    assert_no_leaks(&running.join().await.unwrap());
}

fn said(kind: &EventKind) -> String {
    format!("{kind:?}")
}
