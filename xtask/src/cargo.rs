//! Starts cargo and other programs, and says what was started.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use crate::error::Error;

/// A cargo command in the root of the checkout, by the cargo that runs us.
pub(crate) fn cargo(root: &Path, args: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(args).current_dir(root);
    command
}

/// Sets a variable of flags to what the caller's environment has, with `flag` added.
pub(crate) fn add_flags(command: &mut Command, variable: &str, flag: &str) {
    // Where this one is set, cargo ignores the plain variable.
    command.env_remove(format!("CARGO_ENCODED_{variable}"));
    let flags = joined_flags(std::env::var_os(variable), flag);
    command.env(variable, flags);
}

fn joined_flags(inherited: Option<OsString>, flag: &str) -> OsString {
    let mut flags = inherited.unwrap_or_default();
    if !flags.is_empty() {
        flags.push(" ");
    }
    flags.push(flag);
    flags
}

/// Echoes the command, runs it with our own input and output, and waits for it.
pub(crate) fn run(command: &mut Command) -> Result<ExitStatus, Error> {
    echo(command);
    command
        .status()
        .map_err(|source| start_error(command, source))
}

/// Echoes the command and runs it, keeping its standard output; its errors are shown.
pub(crate) fn run_captured(command: &mut Command) -> Result<(ExitStatus, String), Error> {
    echo(command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| start_error(command, source))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok((output.status, text))
}

/// Whether the command starts and succeeds; it is run without a sound.
pub(crate) fn works(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

pub(crate) fn start_error(command: &Command, source: std::io::Error) -> Error {
    let program = command.get_program().to_string_lossy().into_owned();
    Error::Start { program, source }
}

fn echo(command: &Command) {
    eprintln!("$ {}", shown(command));
}

/// The command as one would type it; the path of cargo is of no interest.
fn shown(command: &Command) -> String {
    let set = command.get_envs().filter_map(|(name, value)| {
        let value = value?.to_string_lossy();
        Some(format!("{}=\"{value}\"", name.to_string_lossy()))
    });
    let program = Path::new(command.get_program())
        .file_stem()
        .unwrap_or_default();
    let args = command
        .get_args()
        .map(|arg| arg.to_string_lossy().into_owned());
    let words = std::iter::once(program.to_string_lossy().into_owned()).chain(args);
    set.chain(words).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_the_caller_are_kept() {
        assert_eq!(joined_flags(Some("-C a".into()), "--cfg b"), "-C a --cfg b");
        assert_eq!(joined_flags(None, "--cfg b"), "--cfg b");
    }

    #[test]
    fn a_command_is_shown_as_one_would_type_it() {
        let mut command = Command::new("cargo");
        command
            .args(["doc", "--no-deps"])
            .env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(
            shown(&command),
            "RUSTDOCFLAGS=\"-D warnings\" cargo doc --no-deps"
        );
    }
}
