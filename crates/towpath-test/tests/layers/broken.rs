//! A control for each rule: a small layer that breaks it is found, with that rule.

#[path = "broken/calls.rs"]
mod calls;
#[path = "broken/limits.rs"]
mod limits;
#[path = "broken/results.rs"]
mod results;
#[path = "broken/waits.rs"]
mod waits;
#[path = "broken/words.rs"]
mod words;

use std::sync::{Mutex, MutexGuard};

use towpath_test::layer::{Rule, Suite};

/// Checks one rule; it is found to be broken, and the message says so in these words.
#[track_caller]
fn finds(suite: &Suite, rule: Rule, words: &str) {
    let broken = suite.check_only(rule).expect_err("it is broken");
    assert_eq!(broken.rule, rule, "{broken}");
    assert!(broken.what.contains(words), "{broken}");
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics under the lock")
}

#[test]
#[should_panic = "the layer breaks 1 of its rules:\n- errors (the inner error is in the chain"]
fn the_suite_panics_with_the_rules_that_are_broken() {
    Suite::new(results::Swallows).check();
}
