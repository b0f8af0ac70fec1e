//! The table at the end of `cargo xtask test`.

use super::outcome::{Outcome, Record};

/// One line for each step: name, result, time, and why it did not pass.
pub(super) fn table(records: &[Record]) -> String {
    let lines = records.iter().map(|record| format!("{}\n", line(record)));
    lines.collect()
}

pub(super) fn line(record: &Record) -> String {
    let (result, reason) = match &record.outcome {
        Outcome::Passed => ("passed", ""),
        Outcome::Failed(reason) => ("FAILED", reason.as_str()),
        Outcome::NotRun(reason) => ("not run", reason.as_str()),
    };
    let took = record.took.as_secs_f64();
    let line = format!("{:<10} {result:<8} {took:>7.1} s  {reason}", record.name);
    line.trim_end().to_owned()
}

/// The last line of the output.
pub(super) fn count(records: &[Record]) -> String {
    let passed = records
        .iter()
        .filter(|record| record.outcome == Outcome::Passed)
        .count();
    let failed = records
        .iter()
        .filter(|record| record.outcome.is_failed())
        .count();
    format!("{passed} passed, {failed} failed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn records() -> Vec<Record> {
        let record = |name, outcome| Record {
            name,
            outcome,
            took: Duration::from_millis(1_250),
        };
        vec![
            record("format", Outcome::Passed),
            record("tests", Outcome::Failed("exit status: 101".to_owned())),
            record(
                "gate",
                Outcome::NotRun("valgrind is not installed".to_owned()),
            ),
        ]
    }

    #[test]
    fn each_step_has_a_line_with_its_result_its_time_and_the_reason() {
        assert_eq!(
            table(&records()),
            "format     passed       1.2 s\n\
             tests      FAILED       1.2 s  exit status: 101\n\
             gate       not run      1.2 s  valgrind is not installed\n"
        );
    }

    #[test]
    fn steps_that_did_not_run_count_as_neither() {
        assert_eq!(count(&records()), "1 passed, 1 failed");
    }
}
