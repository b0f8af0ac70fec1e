//! Ctrl-C: it drains, reports, and the tables hold exactly the delivered rows.
#![cfg(unix)]

use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::time::Instant;

use crate::program::{Program, Run};

const PATIENCE: Duration = Duration::from_secs(30);

/// Slow enough that the file would take minutes.
const SLOWLY: [&str; 8] = [
    "--report",
    "json",
    "--latency",
    "20",
    "--concurrency",
    "1",
    "--batch-size",
    "5",
];

fn interrupt(child: &Child) {
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &id]).status().unwrap();
    assert!(sent.success());
}

/// Asks again and again, as nobody tells us: the program is another process.
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn has_rows(database: &Path) -> bool {
    let opened = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY);
    let sql = "SELECT EXISTS (SELECT 1 FROM flights)";
    opened.is_ok_and(|it| it.query_row(sql, [], |row| row.get(0)).unwrap_or(false))
}

/// The program is stopped whatever becomes of the test.
struct Stopped(Option<Child>);

impl Stopped {
    fn ended(&mut self) -> bool {
        let child = self.0.as_mut();
        child.is_none_or(|child| child.try_wait().unwrap().is_some())
    }

    fn run(mut self) -> Run {
        wait_until("the program ends", || self.ended());
        Run::of(self.0.take().unwrap().wait_with_output().unwrap())
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

fn interrupted(program: &Program) -> Run {
    let child = Stopped(Some(program.spawn(&SLOWLY)));
    let database = program.path("flights.sqlite");
    wait_until("rows are stored", || has_rows(&database));
    interrupt(child.0.as_ref().unwrap());
    child.run()
}

#[test]
fn an_interrupted_run_drains_and_the_tables_hold_exactly_what_it_reports() {
    let program = Program::new();
    let run = interrupted(&program);
    let summary = run.summary();
    assert!(summary.delivered > 0 && !summary.complete, "{summary:?}");
    assert!(summary.read < 27004, "{summary:?}");
    assert_ne!(run.status, 0);
    program.holds_exactly(&summary);
    assert_eq!(program.files(), ["flights-dead.ndjson", "flights.sqlite"]);
}

#[test]
fn a_run_after_an_interrupted_one_completes_the_tables() {
    let (broken_off, whole) = (Program::new(), Program::new());
    interrupted(&broken_off);
    assert_eq!(broken_off.run(&["--latency", "0"]).status, 0);
    assert_eq!(whole.run(&["--latency", "0"]).status, 0);
    for table in towpath_examples::flights::schema::Table::ALL {
        assert!(
            broken_off.rows(table) == whole.rows(table),
            "{}",
            table.name()
        );
    }
}
