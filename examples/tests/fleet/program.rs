//! The program as processes: a server with tasks, members that come and go, and their book.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;
use tokio::time::Instant;
use towpath_test_servers::{Kafka, Nats, or_not_run};

use super::executable::executable;

/// How long the others wait for a member that is not heard of.
///
/// Longer than a busy machine stands still, with a third of it gone already.
pub(crate) const LEASE: Duration = Duration::from_secs(5);

/// For what is certain to come, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// What holds the tasks.
pub(crate) enum Server {
    Nats(Nats),
    Kafka(Kafka),
}

/// A server, and the members that work its tasks.
pub(crate) struct Fleet {
    server: Server,
    folder: TempDir,
    ordered: bool,
    filled: u32,
}

/// A process; it is killed when dropped.
pub(crate) struct Member(Child);

/// A line of the book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) member: String,
    pub(crate) customer: String,
    pub(crate) number: u32,
}

// === impl Server ===

impl Server {
    pub(crate) fn nats() -> Option<Self> {
        or_not_run(Nats::start()).map(Self::Nats)
    }

    pub(crate) fn kafka() -> Option<Self> {
        or_not_run(Kafka::start()).map(Self::Kafka)
    }

    fn arguments(&self) -> [String; 4] {
        let (name, address) = match self {
            Self::Nats(server) => ("nats", server.url()),
            Self::Kafka(server) => ("kafka", server.brokers()),
        };
        [
            "--source".to_owned(),
            name.to_owned(),
            "--address".to_owned(),
            address,
        ]
    }
}

// === impl Fleet ===

impl Fleet {
    pub(crate) fn unordered(server: Server) -> Self {
        Self {
            server,
            folder: TempDir::new().unwrap(),
            ordered: false,
            filled: 0,
        }
    }

    pub(crate) fn ordered(server: Server) -> Self {
        Self {
            ordered: true,
            ..Self::unordered(server)
        }
    }

    /// Puts tasks in; again where the server has not answered in time, and has got none.
    pub(crate) fn fill(&mut self, tasks: u32) {
        let mut fill = Command::new(executable());
        fill.arg("fill")
            .args(self.server.arguments())
            .args(["--tasks", &tasks.to_string(), "--customers", "100"])
            .args(["--first", &self.filled.to_string()]);
        let begun = Instant::now();
        loop {
            let output = fill.output().unwrap();
            if output.status.success() {
                break;
            }
            let said = String::from_utf8_lossy(&output.stderr);
            let is_silent = said.contains("at --address answers");
            assert!(is_silent && begun.elapsed() < PATIENCE, "{said}");
        }
        self.filled += tasks;
    }

    /// Starts a member.
    pub(crate) fn member(&self, name: &str) -> Member {
        let log = File::create(self.folder.path().join(format!("{name}.log"))).unwrap();
        let mut command = Command::new(executable());
        command
            .arg("work")
            .args(self.server.arguments())
            .args(["--member", name, "--takes", "10"])
            .args(["--lease", &LEASE.as_millis().to_string(), "--book"])
            .arg(self.book())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        if self.ordered {
            command.arg("--ordered");
        }
        Member(command.spawn().unwrap())
    }

    /// Fills until each of the members has worked something: all have found their place.
    pub(crate) fn fill_until_at_work(&mut self, members: &[&str]) {
        let begun = Instant::now();
        let everybody: BTreeSet<_> = members.iter().map(ToString::to_string).collect();
        while !self.at_work().is_superset(&everybody) {
            self.expect_time_since(begun, "somebody has nothing to do");
            self.fill(50);
            thread::sleep(Duration::from_millis(100));
        }
        self.await_all();
    }

    /// The members that are in the book.
    fn at_work(&self) -> BTreeSet<String> {
        self.shares(0).into_keys().collect()
    }

    /// Waits until every task is in the book.
    pub(crate) fn await_all(&self) {
        self.await_worked(self.filled, "not all tasks are worked");
    }

    /// Waits until so many different tasks are in the book.
    pub(crate) fn await_worked(&self, tasks: u32, otherwise: &str) {
        let begun = Instant::now();
        while self.worked() < tasks {
            self.expect_time_since(begun, otherwise);
            thread::sleep(Duration::from_millis(20));
        }
    }

    #[track_caller]
    fn expect_time_since(&self, begun: Instant, otherwise: &str) {
        assert!(
            begun.elapsed() < PATIENCE,
            "{otherwise}: {:?}\n{}",
            self.shares(0),
            self.logs()
        );
    }

    pub(crate) fn filled(&self) -> u32 {
        self.filled
    }

    /// How many different tasks are in the book.
    fn worked(&self) -> u32 {
        let numbers = self.lines().into_iter().map(|line| line.number);
        u32::try_from(numbers.collect::<BTreeSet<_>>().len()).unwrap()
    }

    /// How many tasks each member has worked, of those with this number and higher ones.
    pub(crate) fn shares(&self, from: u32) -> BTreeMap<String, u32> {
        let mut shares = BTreeMap::new();
        for line in self.lines().into_iter().filter(|line| line.number >= from) {
            *shares.entry(line.member).or_default() += 1;
        }
        shares
    }

    /// The book, in the order in which it was written.
    pub(crate) fn lines(&self) -> Vec<Line> {
        if !self.book().exists() {
            return Vec::new();
        }
        let book = Connection::open(self.book()).unwrap();
        book.busy_timeout(PATIENCE).unwrap();
        let lines = book.prepare("select member, customer, number from worked order by id");
        let Ok(mut lines) = lines else {
            return Vec::new();
        };
        let lines = lines.query_map((), |line| {
            Ok(Line {
                member: line.get(0)?,
                customer: line.get(1)?,
                number: line.get(2)?,
            })
        });
        lines.unwrap().map(Result::unwrap).collect()
    }

    fn book(&self) -> PathBuf {
        self.folder.path().join("fleet.db")
    }

    fn logs(&self) -> String {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        let paths = files.map(|file| file.unwrap().path());
        let logs = paths.filter(|path| path.extension().is_some_and(|ending| ending == "log"));
        let shown = logs.map(|log| {
            let said = std::fs::read_to_string(&log).unwrap();
            format!("--- {}\n{said}", log.display())
        });
        shown.collect()
    }
}

// === impl Member ===

impl Member {
    /// SIGKILL, by its id.
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// SIGTERM, by its id: it finishes what it has in hand, and says that all is well.
    pub(crate) fn stop(mut self) {
        let id = self.0.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(sent.success());
        let status = self.0.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // It fails for one that is gone.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
