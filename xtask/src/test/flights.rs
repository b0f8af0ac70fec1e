//! Runs the bundled example as a newcomer does, and compares its report with the known figures.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::outcome::Outcome;
use crate::cargo::{cargo, run_captured};
use crate::error::Error;
use crate::workspace::Workspace;

const EXAMPLE: [&str; 9] = [
    "run",
    "--release",
    "--example",
    "flights",
    "--",
    "--latency",
    "0",
    "--report",
    "json",
];

/// What the bundled month holds, by the place in the report.
const EXPECTED: [(&str, u64); 8] = [
    ("/read", 27_004),
    ("/dropped", 521),
    ("/rejected", 679),
    ("/delivered", 25_804),
    ("/late", 5_907),
    ("/by_origin/EWR", 9_514),
    ("/by_origin/JFK", 8_523),
    ("/by_origin/LGA", 7_767),
];

pub(super) fn run(root: &Path) -> Outcome {
    match report(root) {
        Ok(report) => judge(&report),
        Err(outcome) => outcome,
    }
}

/// Runs the example on an empty database; what it prints when it succeeds.
fn report(root: &Path) -> Result<String, Outcome> {
    let dir = empty_dir(root).map_err(Outcome::from)?;
    let mut command = cargo(root, &EXAMPLE);
    command.arg("--database").arg(dir.join("flights.sqlite"));
    command
        .arg("--dead-letters")
        .arg(dir.join("flights-dead.ndjson"));
    let (status, output) = run_captured(&mut command).map_err(Outcome::from)?;
    if status.success() {
        Ok(output)
    } else {
        Err(Outcome::Failed(status.to_string()))
    }
}

fn empty_dir(root: &Path) -> Result<PathBuf, Error> {
    let dir = Workspace::load_packages(root)?.target_dir.join("flights");
    let file_error = |source| Error::File {
        path: dir.clone(),
        source,
    };
    if dir.exists() {
        fs::remove_dir_all(&dir).map_err(file_error)?;
    }
    fs::create_dir_all(&dir).map_err(file_error)?;
    Ok(dir)
}

fn judge(output: &str) -> Outcome {
    let Some(report) = output.lines().rev().find_map(as_object) else {
        return Outcome::Failed("the report is no line of JSON".to_owned());
    };
    println!("{report}");
    let wrong = mismatches(&report);
    if wrong.is_empty() {
        Outcome::Passed
    } else {
        Outcome::Failed(wrong.join(", "))
    }
}

fn as_object(line: &str) -> Option<Value> {
    serde_json::from_str(line).ok().filter(Value::is_object)
}

fn mismatches(report: &Value) -> Vec<String> {
    let wrong = EXPECTED.iter().filter_map(|&(place, expected)| {
        let found = report.pointer(place).unwrap_or(&Value::Null);
        (found.as_u64() != Some(expected))
            .then(|| format!("{} is {found} instead of {expected}", &place[1..]))
    });
    wrong.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn good() -> Value {
        json!({
            "read": 27_004, "dropped": 521, "rejected": 679, "delivered": 25_804, "late": 5_907,
            "by_origin": {"EWR": 9_514, "JFK": 8_523, "LGA": 7_767}, "elapsed_ms": 100,
        })
    }

    #[test]
    fn the_known_figures_pass_whatever_else_the_report_and_the_output_hold() {
        assert_eq!(judge(&format!("reading\n{}\n\n", good())), Outcome::Passed);
    }

    #[test]
    fn every_figure_that_is_wrong_or_missing_is_named() {
        let mut report = good();
        report["late"] = json!(5_906);
        report["by_origin"] = json!({"EWR": 9_514, "JFK": "8523", "LGA": 7_767});
        report["read"].take();
        assert_eq!(
            judge(&report.to_string()),
            Outcome::Failed(
                "read is null instead of 27004, late is 5906 instead of 5907, \
                 by_origin/JFK is \"8523\" instead of 8523"
                    .to_owned()
            )
        );
    }

    #[test]
    fn output_without_a_report_fails() {
        assert!(judge("done\n").is_failed());
        assert!(judge("").is_failed());
    }
}
