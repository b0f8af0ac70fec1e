//! Instructions per message: this binary runs one case under callgrind, twice.

use std::ffi::OsStr;
use std::io;
use std::process::{Command, Output, Stdio};

use crate::case::Case;
use crate::measure::Slope;

/// Lengths for the numbers that gate: repeats within one part in a thousand.
pub const PRECISE: Slope = Slope {
    short: 100_000,
    long: 600_000,
};

/// Lengths for the numbers that are only published.
pub const QUICK: Slope = Slope {
    short: 10_000,
    long: 60_000,
};

/// Instructions could not be counted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstructionsError {
    /// Valgrind is not installed, or this binary cannot be found.
    #[error("valgrind could not be started")]
    Start(#[from] io::Error),
    /// The run under callgrind failed.
    #[error("the run of {case} under callgrind failed: {stderr}")]
    Failed {
        /// The case.
        case: String,
        /// What it wrote.
        stderr: String,
    },
    /// Callgrind did not say how much it collected.
    #[error("callgrind did not print a total for {case}")]
    NoTotal {
        /// The case.
        case: String,
    },
}

/// Whether valgrind answers on this machine.
pub fn available() -> bool {
    let mut valgrind = Command::new("valgrind");
    valgrind
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    valgrind.status().is_ok_and(|status| status.success())
}

/// Counts the instructions that one message of `case` costs on a current-thread runtime.
///
/// Runs the current executable as `bench --single CASE --messages N`.
///
/// # Errors
/// Fails when valgrind does not start, the run fails or the output has no total.
pub fn per_message(case: &Case, slope: Slope) -> Result<f64, InstructionsError> {
    Ok(slope.per_message(total(case, slope.short)?, total(case, slope.long)?))
}

fn total(case: &Case, messages: u32) -> Result<u64, InstructionsError> {
    let output = callgrind(case, messages)?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let (case, stderr) = (case.to_string(), stderr.into_owned());
        return Err(InstructionsError::Failed { case, stderr });
    }
    collected(&stderr).ok_or_else(|| InstructionsError::NoTotal {
        case: case.to_string(),
    })
}

fn callgrind(case: &Case, messages: u32) -> io::Result<Output> {
    let executable = std::env::current_exe()?;
    let (name, messages) = (case.to_string(), messages.to_string());
    Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"].map(OsStr::new))
        .arg(executable)
        .args(["--single", &name, "--messages", &messages])
        .output()
}

/// Finds the total in what callgrind prints at the end: `Collected : 12345`.
fn collected(stderr: &str) -> Option<u64> {
    let (_, total) = stderr
        .lines()
        .find_map(|line| line.split_once("Collected :"))?;
    total.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_found_among_the_other_lines() {
        let stderr = "==7== Events    : Ir\n==7== Collected : 6612345\n==7==\n";
        assert_eq!(collected(stderr), Some(6_612_345));
    }

    #[test]
    fn output_without_a_total_is_not_a_zero() {
        assert_eq!(collected("==7== Events    : Ir\n"), None);
    }
}
