//! `cargo xtask test`: everything that must pass, the cheap steps first.
//!
//! Each step runs even when an earlier one failed, unless it needs that one. The last line of
//! the output counts the steps: `N passed, N failed`.

use std::path::Path;
use std::process::ExitCode;

mod clock;
mod flights;
mod model;
mod outcome;
mod shared;
mod steps;
mod summary;

use clock::Stopwatch;
use outcome::{Outcome, Record};
use steps::{STEPS, Step};

/// Runs all steps; succeeds when none failed.
pub(crate) fn run(root: &Path) -> ExitCode {
    let records = run_all(&STEPS, root);
    print!("\n{}", summary::table(&records));
    println!("{}", summary::count(&records));
    let has_failed = records.iter().any(|record| record.outcome.is_failed());
    if has_failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn run_all(steps: &[Step], root: &Path) -> Vec<Record> {
    let mut records = Vec::with_capacity(steps.len());
    for step in steps {
        let record = run_step(step, &records, root);
        records.push(record);
    }
    records
}

fn run_step(step: &Step, done: &[Record], root: &Path) -> Record {
    println!("\n=== {}: {}", step.name, step.about);
    let watch = Stopwatch::start();
    let outcome = blocked(step, done).unwrap_or_else(|| (step.run)(root));
    let record = Record {
        name: step.name,
        outcome,
        took: watch.elapsed(),
    };
    println!("--- {}", summary::line(&record));
    record
}

/// Why the step cannot say anything, after what became of the steps that it needs.
fn blocked(step: &Step, done: &[Record]) -> Option<Outcome> {
    let mut needed = done
        .iter()
        .filter(|record| step.needs.contains(&record.name));
    let missing = needed.find(|record| record.outcome != Outcome::Passed)?;
    Some(Outcome::NotRun(format!(
        "needs {}, which did not pass",
        missing.name
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &'static str, needs: &'static [&'static str], run: fn(&Path) -> Outcome) -> Step {
        Step {
            name,
            about: "",
            needs,
            run,
        }
    }

    fn outcomes(steps: &[Step]) -> Vec<Outcome> {
        run_all(steps, Path::new("."))
            .into_iter()
            .map(|record| record.outcome)
            .collect()
    }

    fn pass(_: &Path) -> Outcome {
        Outcome::Passed
    }

    fn fail(_: &Path) -> Outcome {
        Outcome::Failed("it broke".to_owned())
    }

    #[test]
    fn a_failed_step_stops_only_the_steps_that_need_it() {
        let steps = [
            step("build", &[], fail),
            step("tests", &["build"], pass),
            step("gate", &["tests"], pass),
            step("docs", &[], pass),
        ];
        let not_run = |of: &str| Outcome::NotRun(format!("needs {of}, which did not pass"));
        assert_eq!(
            outcomes(&steps)[1..],
            [not_run("build"), not_run("tests"), Outcome::Passed]
        );
    }

    #[test]
    fn each_need_is_the_name_of_an_earlier_step() {
        for (at, step) in STEPS.iter().enumerate() {
            let earlier: Vec<_> = STEPS[..at].iter().map(|step| step.name).collect();
            assert!(
                step.needs.iter().all(|need| earlier.contains(need)),
                "{}",
                step.name
            );
        }
    }
}
