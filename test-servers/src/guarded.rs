//! A process that ends with the one that started it, however that ends.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use crate::clock::Deadline;
use crate::signal::Signal;

/// A shell that ends with the server, and ends it when its own input ends: also when the test
/// is killed. It ignores Ctrl-C and the like, so that it is still there to do so; the server does
/// not, unless it wants to. The folder, which is its own name, goes when the input ends, unless
/// that says that somebody else needs it.
const GUARD: &str = r#"
trap : INT HUP TERM
exec 3<&0
ending=$1
shift
"$@" </dev/null 3<&- &
server=$!
trap '' INT HUP TERM
echo $server >"$0/pid"
{
    read -r word <&3
    if [ "$ending" != KILL ]; then
        kill -s CONT $server $(cat /proc/$server/task/$server/children)
        kill -s "$ending" $server
        sleep 2
    fi
    kill -s KILL $server $(cat /proc/$server/task/$server/children)
} >/dev/null 2>&1 &
watcher=$!
wait $server
kill -s KILL $watcher
{ wait $watcher; } 2>/dev/null
{
    read -r word <&3
    [ "$word" = keep ] || rm -rf -- "$0" || { sleep 1; rm -rf -- "$0"; }
} >/dev/null 2>&1 &
"#;

const LOG: &str = "log";
const PID: &str = "pid";

/// Until the shell has started the server.
const PATIENCE: Duration = Duration::from_secs(20);

/// Ends its process when dropped.
#[derive(Debug)]
pub(crate) struct Guarded {
    shell: Child,
    input: Option<ChildStdin>,
    folder: Arc<TempDir>,
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
        Self::start_in(folder.into(), command, output, Signal::Kill)
    }

    /// The same in a folder that others share, for a program that is first asked to end by this
    /// signal, and killed when it does not.
    pub(crate) fn start_in(
        folder: Arc<TempDir>,
        command: &[String],
        output: Output,
        ending: Signal,
    ) -> io::Result<Self> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(folder.path().join(LOG))?;
        let out = match output {
            Output::Logged => log.try_clone()?.into(),
            Output::Piped => Stdio::piped(),
        };
        // That of an earlier process in this folder.
        drop(fs::remove_file(folder.path().join(PID)));
        let mut shell = Command::new("sh")
            .args(["-c", GUARD])
            .arg(folder.path())
            .arg(ending.name())
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

    /// The process id of the program; `None` where the shell could not start it.
    pub(crate) fn pid(&self) -> Option<u32> {
        let path = self.folder.path().join(PID);
        let read = || fs::read_to_string(&path).ok()?.trim().parse().ok();
        Deadline::after(PATIENCE).poll(read)
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.shell.try_wait().is_ok_and(|status| status.is_some())
    }

    /// Returns when the server has ended by itself.
    pub(crate) fn wait(&mut self) -> io::Result<()> {
        // The input stays open: it is no longer the child's.
        self.shell.wait().map(drop)
    }

    /// Ends it where it has not ended yet; the folder stays for whoever else works in it.
    pub(crate) fn leave_folder(mut self) {
        if self.has_ended()
            && let Some(mut input) = self.input.take()
        {
            // Nobody reads it any more where the folder is gone already.
            drop(input.write_all(b"keep"));
        }
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
