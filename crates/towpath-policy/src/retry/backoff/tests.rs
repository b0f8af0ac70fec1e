//! Tests of the delays of a retry.

use std::{error::Error, fmt::Error as Failed, time::Duration};

use proptest::prelude::*;

use super::{Backoff, Jitter, Schedule};
use towpath_options::LONGEST;

const BASE: Duration = Duration::from_millis(100);
const CAP: Duration = Duration::from_secs(10);
const NONE: Duration = Duration::ZERO;

fn exponential(jitter: Jitter, seed: u64) -> Backoff {
    let schedule = Schedule::Exponential {
        base: BASE,
        cap: CAP,
    };
    Backoff::new(schedule, jitter, Some(seed))
}

fn delay(backoff: &Backoff, retry: u32, previous: Duration) -> Duration {
    backoff
        .delay(retry, previous, &Failed)
        .expect("no custom schedule")
}

#[test]
fn without_jitter_each_delay_is_twice_the_last_up_to_the_cap() {
    let backoff = exponential(Jitter::None, 0);
    let delays: Vec<u128> = (1..=9)
        .map(|retry| delay(&backoff, retry, NONE).as_millis())
        .collect();
    assert_eq!(
        delays,
        [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]
    );
}

#[test]
fn the_number_of_the_retry_may_be_anything() {
    let backoff = exponential(Jitter::None, 0);
    assert_eq!(delay(&backoff, 0, NONE), BASE);
    for retry in [31, 32, 33, 63, 64, 65, 1000, u32::MAX] {
        assert_eq!(delay(&backoff, retry, NONE), CAP);
    }
}

#[test]
fn full_jitter_is_even_from_nothing_to_the_delay() {
    let (low, mean, high) = spread(Jitter::Full, 3);
    assert!(
        low < 0.01 && (0.49..0.51).contains(&mean) && high > 0.99,
        "{low} {mean} {high}"
    );
}

#[test]
fn equal_jitter_is_even_from_half_of_the_delay_to_all_of_it() {
    let (low, mean, high) = spread(Jitter::Equal, 3);
    assert!((0.5..0.51).contains(&low) && (0.74..0.76).contains(&mean) && high > 0.99);
}

/// The least, the mean and the greatest of many delays, as parts of the one without jitter.
fn spread(jitter: Jitter, retry: u32) -> (f64, f64, f64) {
    let whole = delay(&exponential(Jitter::None, 0), retry, NONE);
    let backoff = exponential(jitter, 7);
    let parts = (0..20_000).map(|_| delay(&backoff, retry, NONE).div_duration_f64(whole));
    parts.fold((1.0, 0.0, 0.0), |(low, mean, high), part| {
        (part.min(low), mean + part / 20_000.0, part.max(high))
    })
}

#[test]
fn decorrelated_jitter_grows_from_the_base_to_the_cap_with_no_regard_to_the_number() {
    let backoff = exponential(Jitter::Decorrelated, 1);
    let mut previous = NONE;
    let mut longest = NONE;
    for _ in 0..200 {
        let next = delay(&backoff, 1, previous);
        assert!(next >= BASE && next <= CAP.min(previous.max(BASE) * 3));
        longest = longest.max(next);
        previous = next;
    }
    assert_eq!(longest, CAP);
}

#[test]
fn the_first_decorrelated_delay_is_up_to_three_times_the_base() {
    let backoff = exponential(Jitter::Decorrelated, 1);
    let longest = (0..1000).map(|_| delay(&backoff, 1, NONE)).max().unwrap();
    assert!(
        longest > BASE * 29 / 10 && longest <= BASE * 3,
        "{longest:?}"
    );
}

#[test]
fn the_same_seed_gives_the_same_delays_and_another_seed_gives_others() {
    let delays = |seed| -> Vec<Duration> {
        let backoff = exponential(Jitter::Full, seed);
        (1..=20).map(|retry| delay(&backoff, retry, NONE)).collect()
    };
    assert_eq!(delays(1), delays(1));
    assert_ne!(delays(1), delays(2));
}

#[test]
fn without_a_seed_two_backoffs_differ() {
    let delays = || -> Vec<Duration> {
        let backoff = Backoff::new(Schedule::default(), Jitter::Full, None);
        (1..=20).map(|retry| delay(&backoff, retry, NONE)).collect()
    };
    assert_ne!(delays(), delays());
}

#[test]
fn a_custom_schedule_sees_the_retry_and_the_error_and_may_stop() {
    let custom = |retry: u32, error: &(dyn Error + 'static)| {
        let known = error.is::<Failed>() && retry < 3;
        known.then(|| Duration::from_secs(retry.into()))
    };
    let schedule = Schedule::Custom(std::sync::Arc::new(custom));
    let backoff = Backoff::new(schedule, Jitter::None, None);
    assert_eq!(
        backoff.delay(1, NONE, &Failed),
        Some(Duration::from_secs(1))
    );
    assert_eq!(
        backoff.delay(2, NONE, &Failed),
        Some(Duration::from_secs(2))
    );
    assert_eq!(backoff.delay(3, NONE, &Failed), None);
    assert_eq!(backoff.delay(1, NONE, &std::io::Error::other("x")), None);
}

#[test]
fn a_custom_schedule_cannot_wait_for_ages() {
    let schedule = Schedule::Custom(std::sync::Arc::new(|_, _| Some(Duration::MAX)));
    for jitter in [Jitter::None, Jitter::Equal] {
        let backoff = Backoff::new(schedule.clone(), jitter, None);
        assert!(delay(&backoff, 1, NONE) <= LONGEST);
    }
}

fn any_duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (0..20_000_u64).prop_map(Duration::from_millis),
        (0..100_u64).prop_map(Duration::from_nanos),
        (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(s, n)| Duration::new(s, n)),
        Just(Duration::MAX),
    ]
}

fn any_jitter() -> impl Strategy<Value = Jitter> {
    prop_oneof![
        Just(Jitter::None),
        Just(Jitter::Full),
        Just(Jitter::Equal),
        Just(Jitter::Decorrelated),
    ]
}

proptest! {
    #[test]
    fn every_delay_is_within_the_bounds_of_its_jitter(
        base in any_duration(), more in any_duration(), previous in any_duration(),
        retry in prop_oneof![1..80_u32, any::<u32>()], jitter in any_jitter(), seed: u64,
    ) {
        let cap = base.saturating_add(more);
        let schedule = Schedule::Exponential { base, cap };
        let backoff = Backoff::new(schedule, jitter, Some(seed));
        let delay = delay(&backoff, retry, previous);
        // What is longer than any option may be is cut.
        let cut = |nanos: u128| nanos.min(LONGEST.as_nanos());
        let whole = cut(reference(base, retry).min(cap.as_nanos()));
        let (low, high) = match jitter {
            Jitter::None => (whole, whole),
            Jitter::Full => (0, whole),
            Jitter::Equal => (whole / 2, whole),
            Jitter::Decorrelated => {
                let most = previous.max(base).as_nanos() * 3;
                (cut(base.as_nanos()), cut(most.min(cap.as_nanos())))
            }
        };
        prop_assert!((low..=high).contains(&delay.as_nanos()));
    }
}

/// The base times two for each retry after the first.
fn reference(base: Duration, retry: u32) -> u128 {
    let mut nanos = base.as_nanos();
    for _ in 1..retry.min(200) {
        nanos = nanos.saturating_mul(2);
    }
    nanos
}
