//! A server that can be killed and started again, with its data and on its port.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use crate::clock::Deadline;
use crate::guarded::{Guarded, Output};
use crate::not_here::{NotHere, wanted};
use crate::places::WrongPlace;
use crate::ports::Reserved;
use crate::signal::{self, Signal};

/// Until it answers, and until it has ended when asked to.
const PATIENCE: Duration = Duration::from_secs(60);

/// A reserved port may be taken by somebody who does not ask.
const ATTEMPTS: usize = 3;

/// How a server of this kind is treated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    /// By which tests do without it.
    pub(crate) name: &'static str,
    /// How to get it.
    pub(crate) help: &'static str,
    /// What asks it to stop in good order.
    pub(crate) stop: Signal,
    /// What ends it when nobody needs it any more.
    pub(crate) end: Signal,
}

/// Ends when dropped, and its folder with it.
#[derive(Debug)]
pub(crate) struct Server {
    kind: Kind,
    process: Guarded,
    launch: Launch,
}

/// All that a start needs.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) folder: Arc<TempDir>,
    pub(crate) command: Vec<String>,
    /// The first one is for clients.
    pub(crate) ports: Vec<Reserved>,
}

impl Server {
    /// Prepares and starts it; again with other ports where it ends at once. `answers` asks the
    /// address whether the server is ready.
    pub(crate) fn start(
        kind: Kind,
        mut prepare: impl FnMut() -> io::Result<Launch>,
        mut answers: impl FnMut(&Launch) -> bool,
    ) -> Result<Self, NotHere> {
        let mut last = String::new();
        for _ in 0..ATTEMPTS {
            let launch = prepare().map_err(|source| kind.not_started(source))?;
            let mut server = Self::launch(kind, launch)?;
            if server.await_answer(&mut answers) {
                return Ok(server);
            }
            last = server.process.log();
        }
        Err(kind.no_answer(last))
    }

    fn launch(kind: Kind, launch: Launch) -> Result<Self, NotHere> {
        let process = launch
            .run(kind)
            .map_err(|source| kind.not_started(source))?;
        Ok(Self {
            kind,
            process,
            launch,
        })
    }

    fn await_answer(&mut self, mut answers: impl FnMut(&Launch) -> bool) -> bool {
        let answered = Deadline::after(PATIENCE).poll(|| {
            let answered = answers(&self.launch);
            (answered || self.process.has_ended()).then_some(answered)
        });
        answered == Some(true)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.launch.address()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.launch.folder.path()
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.process.log_path()
    }

    /// The server and its children, none where it has ended.
    fn processes(&mut self) -> Vec<u32> {
        if self.process.has_ended() {
            return Vec::new();
        }
        let server = self.process.pid();
        let children = server.map(signal::children).unwrap_or_default();
        server.into_iter().chain(children).collect()
    }

    /// Stops it, and returns when nothing of it does anything. First the server itself: it has no
    /// more children then.
    pub(crate) fn freeze(&mut self) -> Vec<u32> {
        let server = self.processes().into_iter().take(1);
        stop(&server.collect::<Vec<_>>());
        let processes = self.processes();
        stop(&processes);
        processes
    }

    /// Ends it without any warning, and returns when nothing of it is left.
    pub(crate) fn kill(&mut self) {
        let processes = self.freeze();
        if processes.is_empty() {
            return;
        }
        send(Signal::Kill, &processes);
        self.await_end(&processes);
    }

    /// Asks it to end, and returns when nothing of it is left.
    pub(crate) fn stop(&mut self) {
        let processes = self.processes();
        if let Some(server) = processes.first() {
            send(self.kind.stop, &[*server]);
            send(Signal::Continue, &processes);
            self.await_end(&processes);
        }
    }

    fn await_end(&mut self, processes: &[u32]) {
        let have_ended = Deadline::after(PATIENCE).poll(|| {
            let are_gone = processes.iter().all(|process| signal::is_gone(*process));
            (self.process.has_ended() && are_gone).then_some(())
        });
        let name = self.kind.name;
        assert!(
            have_ended.is_some(),
            "{name} does not end:\n{}",
            self.process.log()
        );
    }

    pub(crate) fn thaw(&mut self) {
        let processes = self.processes();
        send(Signal::Continue, &processes);
    }

    /// Starts it as before; kills it first where it runs.
    pub(crate) fn restart(&mut self, answers: impl FnMut(&Launch) -> bool) -> Result<(), NotHere> {
        self.kill();
        let kind = self.kind;
        let next = self.launch.run(kind);
        let next = next.map_err(|source| kind.not_started(source))?;
        std::mem::replace(&mut self.process, next).leave_folder();
        if self.await_answer(answers) {
            return Ok(());
        }
        Err(kind.no_answer(self.process.log()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // What is stopped does not end when asked to.
        self.thaw();
    }
}

fn stop(processes: &[u32]) {
    send(Signal::Stop, processes);
    // Whoever does not stop does not keep others from going on.
    Deadline::after(PATIENCE).poll(|| {
        let are_stopped = processes.iter().all(|process| signal::is_stopped(*process));
        are_stopped.then_some(())
    });
}

/// The shell that sends it is there: it started the server.
fn send(signal: Signal, processes: &[u32]) {
    if !processes.is_empty() {
        signal.send(processes).expect("there is a shell");
    }
}

// === impl Kind ===

impl Kind {
    /// What `find` finds, where the tests are not told to do without.
    pub(crate) fn find(
        self,
        find: impl FnOnce() -> Result<Option<PathBuf>, WrongPlace>,
    ) -> Result<PathBuf, NotHere> {
        wanted(self.name, self.help, find)
    }

    pub(crate) fn not_started(self, source: io::Error) -> NotHere {
        NotHere::NotStarted {
            server: self.name,
            source,
        }
    }

    fn no_answer(self, log: String) -> NotHere {
        NotHere::NoAnswer {
            server: self.name,
            log,
        }
    }
}

// === impl Launch ===

impl Launch {
    /// Where clients reach it.
    pub(crate) fn address(&self) -> SocketAddr {
        self.ports[0].address()
    }

    fn run(&self, kind: Kind) -> io::Result<Guarded> {
        let folder = Arc::clone(&self.folder);
        Guarded::start_in(folder, &self.command, Output::Logged, kind.end)
    }
}
