//! The limit follows what a simulated service bears. A window is as long as one of its calls
//! takes when it is served at once.

use super::simulation::{Noise, Overload, Simulation};
use crate::Concurrency;

/// The windows within which the limit gets there, from 10 to 20.
const FIRST: usize = 20;

/// From 20 to 5.
const DOWN: usize = 40;

/// From 5 to 50: by one in a window, and first at the limit of 5 a window is two calls long.
const UP: usize = 80;

/// The windows after that in which it stays there.
const STAYS: usize = 200;

const SEEDS: u64 = 20;

/// Those in which no call says much about the next.
const NOISES: [Noise; 3] = [Noise::None, Noise::Uniform, Noise::Hangs];

const OVERLOADS: [Overload; 2] = [Overload::Queues, Overload::Rejects];

fn for_each_service(noises: &[Noise], mut test: impl FnMut(Simulation)) {
    for overload in OVERLOADS {
        for &noise in noises {
            for seed in 0..SEEDS {
                println!("{overload:?}, noise: {noise:?}, seed {seed}");
                test(Simulation::new(
                    &Concurrency::adaptive(),
                    overload,
                    noise,
                    seed,
                ));
            }
        }
    }
}

/// Gets near what the service bears within so many windows, and stays there.
fn assert_follows(service: &mut Simulation, within: usize) {
    let capacity = service.capacity;
    let limits = service.run(within);
    let near = (capacity * 3 / 4)..=(capacity * 3 / 2);
    assert!(
        limits.iter().any(|limit| near.contains(limit)),
        "never within {near:?}: {limits:?}"
    );
    assert_stays(service, capacity * 4 / 5, capacity * 3 / 2);
}

fn assert_stays(service: &mut Simulation, low: usize, high: usize) {
    let limits = service.run(STAYS);
    let sum: usize = limits.iter().sum();
    let around = (low * STAYS)..=(high * STAYS);
    assert!(
        around.contains(&sum),
        "not {low} to {high} on average: {limits:?}"
    );
}

#[test]
fn adaptive_converges_when_the_service_bears_20_then_5_then_50_calls() {
    for_each_service(&NOISES, |mut service| {
        for (capacity, within) in [(20, FIRST), (5, DOWN), (50, UP)] {
            service.capacity = capacity;
            assert_follows(&mut service, within);
        }
    });
}

#[test]
fn it_stays_where_it_is_for_thousands_of_windows() {
    for_each_service(&NOISES, |mut service| {
        service.capacity = 20;
        service.run(3000);
        assert_stays(&mut service, 16, 30);
    });
}

#[test]
fn it_converges_when_calls_vary_as_much_as_their_mean() {
    for_each_service(&[Noise::Exponential], |mut service| {
        for capacity in [20, 50] {
            service.capacity = capacity;
            service.run(2 * UP);
            assert_stays(&mut service, capacity * 3 / 4, capacity * 3 / 2);
        }
    });
}

#[test]
fn idle_does_not_inflate_it() {
    for_each_service(&NOISES, |mut service| {
        service.callers = 3;
        let limits = service.run(1000);
        assert!(limits.iter().all(|&limit| limit <= 10), "{limits:?}");
    });
}

#[test]
fn it_is_raised_to_no_more_than_one_above_what_is_asked_for() {
    for_each_service(&NOISES, |mut service| {
        service.callers = 15;
        let limits = service.run(1000);
        assert!(limits.iter().all(|&limit| limit <= 16), "{limits:?}");
    });
}

#[test]
fn a_service_that_becomes_slower_does_not_keep_it_down() {
    for_each_service(&NOISES, |mut service| {
        service.capacity = 20;
        service.run(FIRST);
        service.latency *= 3;
        // Its windows are three times as long.
        assert_follows(&mut service, 3 * UP);
    });
}

#[test]
fn a_service_that_becomes_faster_does_not_push_it_up() {
    for_each_service(&NOISES, |mut service| {
        service.capacity = 20;
        service.run(FIRST);
        service.latency /= 3;
        assert_follows(&mut service, FIRST);
    });
}
