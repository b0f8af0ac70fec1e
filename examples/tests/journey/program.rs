//! The program, with arguments and a clean environment.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How the program ended.
pub(crate) struct Run {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// With these arguments; traces are all that it sends.
pub(crate) fn run(arguments: &[&str]) -> Run {
    let mut command = Command::new(executable());
    let telemetry = std::env::vars_os().filter(|(name, _)| {
        let name = name.to_string_lossy();
        name.starts_with("OTEL_") || name == "RUST_LOG"
    });
    for (name, _) in telemetry {
        command.env_remove(name);
    }
    let none = ["OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER"].map(|name| (name, "none"));
    let command = command.args(arguments).envs(none).stdin(Stdio::null());
    let output = command.output().unwrap();
    Run {
        status: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Cargo builds examples beside the tests, but tells the tests no path to them.
fn executable() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target = test.parent().and_then(Path::parent).unwrap();
    let name = format!("journey{}", std::env::consts::EXE_SUFFIX);
    let path = target.join("examples").join(name);
    let build = "build it first: cargo build --example journey";
    assert!(path.exists(), "{build}");
    path
}
