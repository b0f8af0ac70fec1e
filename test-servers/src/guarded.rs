//! A process that ends with the one that started it, however that ends.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use tempfile::TempDir;

/// A shell that ends with the server, and kills it when its own input ends: also when the test
/// is killed. It ignores Ctrl-C and the like, so that it is still there to do so. The folder, which
/// is its own name, goes when the input ends.
const GUARD: &str = r#"
trap '' INT HUP TERM
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
{ cat <&3; kill -KILL $server; } >/dev/null 2>&1 &
watcher=$!
wait $server
kill -KILL $watcher
{ cat <&3; rm -rf -- "$0"; } >/dev/null 2>&1 &
"#;

const LOG: &str = "log";

/// Ends its process when dropped.
#[derive(Debug)]
pub(crate) struct Guarded {
    shell: Child,
    input: Option<ChildStdin>,
    folder: TempDir,
}

/// What becomes of the standard output; errors always go into the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    Logged,
    Piped,
}

impl Guarded {
    /// Runs a program in a folder of its own, which goes when the process is gone.
    pub(crate) fn start(folder: TempDir, command: &[String], output: Output) -> io::Result<Self> {
        let log = File::create(folder.path().join(LOG))?;
        let out = match output {
            Output::Logged => log.try_clone()?.into(),
            Output::Piped => Stdio::piped(),
        };
        let mut shell = Command::new("sh")
            .args(["-c", GUARD])
            .arg(folder.path())
            .args(command)
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(out)
            .stderr(log)
            .spawn()?;
        let input = shell.stdin.take();
        Ok(Self {
            shell,
            input,
            folder,
        })
    }

    /// The piped standard output, once.
    pub(crate) fn take_output(&mut self) -> Option<ChildStdout> {
        self.shell.stdout.take()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.shell.try_wait().is_ok_and(|status| status.is_some())
    }

    /// Returns when the server has ended by itself.
    pub(crate) fn wait(&mut self) -> io::Result<()> {
        // The input stays open: it is no longer the child's.
        self.shell.wait().map(drop)
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        log_path(self.folder.path())
    }

    /// What the server has said so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }
}

fn log_path(folder: &Path) -> PathBuf {
    folder.join(LOG)
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.input = None;
        // The shell is there until it is waited for: nothing can go wrong that matters here.
        drop(self.shell.wait());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::time::Duration;

    use crate::clock::Deadline;

    fn start(script: &str, output: Output) -> Guarded {
        let command = ["sh", "-c", script].map(str::to_owned);
        Guarded::start(TempDir::new().unwrap(), &command, output).unwrap()
    }

    #[test]
    fn a_process_that_would_stay_ends_when_it_is_dropped_and_its_folder_goes() {
        let mut process = start("exec sleep 3600", Output::Piped);
        let (mut output, folder) = (process.take_output().unwrap(), process.log_path());
        assert!(!process.has_ended());
        drop(process);
        assert!(!folder.exists());
        // Nobody holds the other end any more.
        assert_eq!(output.read(&mut [0; 1]).unwrap(), 0);
    }

    #[test]
    fn a_process_that_has_ended_is_noticed_and_what_it_said_is_there() {
        let mut process = start("echo no port >&2; exit 3", Output::Logged);
        let patience = Deadline::after(Duration::from_secs(20));
        assert!(
            patience
                .poll(|| process.has_ended().then_some(()))
                .is_some()
        );
        assert_eq!(process.log(), "no port\n");
        process.wait().unwrap();
    }
}
