//! Many threads at once: nothing is lost, nothing is counted twice.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
};

use super::*;

const THREADS: u32 = 8;

const CALLS: u32 = 20_000;

/// Runs `work` on all threads at once, with the number of each.
fn at_once(work: impl Fn(u32) + Sync) {
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let work = &work;
            scope.spawn(move || work(thread));
        }
    });
}

#[test]
fn every_call_is_counted_once_while_buckets_change() {
    let rig = Rig::new(&CircuitBreaker::failure_rate(0.5).over(secs(10)));
    at_once(|thread| {
        for call in 0..CALLS {
            let verdict = match (call + thread) % 4 {
                0 => Verdict::Failure,
                _ => Verdict::Success,
            };
            // All buckets are begun, none is forgotten.
            let now = rig.now + secs(9) * call / CALLS;
            rig.breaker.record(rig.pass(), verdict, None, now);
        }
    });
    let status = rig.breaker.status(rig.now + secs(9));
    assert_eq!(status.state, BreakerState::Closed);
    assert_eq!(status.calls, u64::from(THREADS * CALLS));
    assert_eq!(status.failure_rate, 0.25);
}

#[test]
fn every_call_of_a_count_window_is_counted_once() {
    let all = THREADS * CALLS;
    let rig = Rig::new(&CircuitBreaker::failure_rate(1.0).over_calls(all));
    at_once(|_| {
        for call in 0..CALLS {
            let failed = call % 2 == 0;
            let verdict = if failed {
                Verdict::Failure
            } else {
                Verdict::Success
            };
            rig.end(rig.pass(), verdict);
        }
    });
    let status = rig.breaker.status(rig.now);
    assert_eq!(status.calls, u64::from(all));
    assert_eq!(status.failure_rate, 0.5);
}

#[test]
fn a_count_window_overflows_by_no_more_calls_than_there_are_threads() {
    let rig = Rig::new(&CircuitBreaker::default().over_calls(100));
    at_once(|_| rig.succeed(CALLS));
    let calls = rig.calls();
    let most = u64::from(100 + 10 * THREADS);
    assert!((90..=most).contains(&calls), "{calls}");
}

#[test]
fn no_more_probes_than_allowed_are_ever_out() {
    let mut rig = Rig::new(
        &CircuitBreaker::default()
            .probes(3)
            .probe_successes(u32::MAX),
    );
    rig.reach_half_open();
    let (out, most) = (AtomicU64::new(0), AtomicU64::new(0));
    at_once(|thread| {
        for _ in 0..CALLS / 10 {
            let Entry::Pass(pass) = rig.enter() else {
                continue;
            };
            most.fetch_max(out.fetch_add(1, Relaxed) + 1, Relaxed);
            thread::yield_now();
            out.fetch_sub(1, Relaxed);
            match thread % 2 {
                0 => rig.breaker.cancel(pass),
                _ => rig.end(pass, Verdict::Success),
            }
        }
    });
    let most = most.into_inner();
    assert!((1..=3).contains(&most), "{most}");
    assert_eq!(rig.breaker.status(rig.now).probes, 0);
}

#[test]
fn nothing_is_counted_after_the_call_that_opened_it() {
    for _ in 0..200 {
        let rig = Rig::new(&CircuitBreaker::failure_rate(1.0).min_calls(THREADS / 2));
        let (_subscription, changes) = record_changes(&rig.breaker);
        let passes: Vec<_> = (0..THREADS).map(|_| rig.pass()).collect();
        let start = Barrier::new(passes.len());
        at_once(|thread| {
            start.wait();
            rig.end(passes[thread as usize], Verdict::Failure);
        });
        let [opened] = &changes.try_iter().collect::<Vec<_>>()[..] else {
            panic!("it opens once");
        };
        let (rate, calls) = (1.0, rig.calls());
        assert_eq!(opened.reason, TransitionReason::FailureRate { rate, calls });
        assert_eq!(calls, u64::from(THREADS / 2));
    }
}

#[test]
fn changes_come_one_after_the_other_whoever_causes_them() {
    let options = CircuitBreaker::failure_rate(0.1)
        .min_calls(1)
        .open_for(Duration::from_nanos(1))
        .probes(1);
    let rig = Rig::new(&options);
    let (subscription, changes) = record_changes(&rig.breaker);
    let told = thread::scope(|scope| {
        let told = scope.spawn(move || changes.iter().collect::<Vec<_>>());
        at_once(|thread| {
            for call in 0..CALLS / 10 {
                let now = rig.now + ms(u64::from(call));
                let Entry::Pass(pass) = rig.breaker.enter(now) else {
                    continue;
                };
                let failed = (call + thread) % 3 == 0;
                let verdict = if failed {
                    Verdict::Failure
                } else {
                    Verdict::Success
                };
                rig.breaker.record(pass, verdict, None, now);
            }
        });
        drop(subscription);
        told.join().unwrap()
    });
    assert_chain(told, rig.breaker.status(rig.now).generation);
}

/// Each change begins where the one before ended, and none is missing.
fn assert_chain(mut told: Vec<Transition>, generation: u64) {
    assert!(told.len() > 10, "{told:?}");
    assert_eq!(told.len() as u64, generation);
    told.sort_by_key(|change| change.generation);
    let mut state = BreakerState::Closed;
    for (change, number) in told.iter().zip(1..) {
        assert_eq!((change.from, change.generation), (state, number));
        state = change.to;
    }
    let opens =
        |change: &&Transition| matches!(change.reason, TransitionReason::FailureRate { .. });
    assert!(told.iter().filter(opens).count() > 0);
}
