//! Real pipelines against an oracle: one task, no links, the same description.
//!
//! A random description is built twice, as a pipeline and as an interpreter that walks
//! one message after the other. Both must come to the same outcome for each delivery of
//! each message, write the same messages and the same letters.
//!
//! `TOWPATH_SEED=<number>` repeats a run; the number is printed with each.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod compare;
mod description;
mod interpreter;
mod pipeline;
mod runner;

use description::{Description, Keeps, any_description};
use runner::{Seen, run};

const CASES: u32 = 64;

#[test]
fn every_message_has_the_outcomes_that_a_single_task_would_give_it() {
    let seen = run(CASES, &any_description(Keeps::Nothing), |description| {
        compare::outcomes(description)
    });
    // A run in which nothing fails proves nothing.
    let Seen { words, .. } = seen;
    for word in ["done", "retried", "rejected", "dropped"] {
        assert!(words.contains_key(word), "no message was {word}: {words:?}");
    }
}

#[test]
fn stages_in_order_write_what_a_single_task_would_in_the_same_order() {
    let seen = run(CASES, &any_description(Keeps::Order), |description| {
        compare::order(description, |_| 0)
    });
    assert!(seen.written > 0, "nothing was written");
}

#[test]
fn stages_by_key_write_each_key_in_the_order_of_a_single_task() {
    let seen = run(CASES, &any_description(Keeps::Key), |description| {
        compare::order(description, description::Item::key)
    });
    assert!(seen.written > 0, "nothing was written");
}

/// A regression: a call that panicked when it was first polled left its slot twice.
#[test]
fn a_call_that_panics_at_once_touches_no_call_in_flight() {
    let description = Description::panics();
    let real = pipeline::run(&description);
    assert_eq!(
        compare::same(&real, &interpreter::run(&description)),
        Ok(())
    );
}

#[test]
fn a_pipeline_of_another_description_is_told_apart() {
    let description = Description::sample();
    let other = Description {
        items: description.items + 1,
        ..description.clone()
    };
    let real = pipeline::run(&description);
    assert!(compare::same(&real, &interpreter::run(&description)).is_ok());
    assert!(compare::same(&real, &interpreter::run(&other)).is_err());
}
