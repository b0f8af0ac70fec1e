//! Runs the built example in a folder of its own and looks at what it leaves there.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rusqlite::{Connection, types::Value};
use tempfile::TempDir;
use towpath_examples::flights::cli::bundled;
use towpath_examples::flights::input;
use towpath_examples::flights::record::NAMES;
use towpath_examples::flights::schema::Table;
use towpath_examples::flights::summary::Summary;
use towpath_examples::flights::text::Code;

/// The program, in a folder that is its own.
pub(crate) struct Program {
    folder: TempDir,
}

/// How it ended.
pub(crate) struct Run {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn code(text: &str) -> Code {
    text.parse().unwrap()
}

/// Header and rows of the bundled month.
pub(crate) fn bundled_lines() -> Vec<String> {
    let mut text = String::new();
    let month = bundled("nyc-flights-2013-01.csv.gz");
    let mut file = input::open(&month).unwrap();
    file.read_to_string(&mut text).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// The header and the first rows of the bundled month.
pub(crate) fn some_rows(count: usize) -> Vec<u8> {
    let lines = bundled_lines();
    (lines[..=count].join("\n") + "\n").into_bytes()
}

/// The fields of a dead letter in the order of the file.
pub(crate) fn fields(original: &serde_json::Value) -> Vec<&str> {
    NAMES.map(|name| original[name].as_str().unwrap()).to_vec()
}

// === impl Program ===

impl Program {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file to read from, and returns its name.
    pub(crate) fn input(&self, bytes: &[u8]) -> String {
        let path = self.path("input");
        fs::write(&path, bytes).unwrap();
        path.into_os_string().into_string().unwrap()
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        Run::of(self.spawn(arguments).wait_with_output().unwrap())
    }

    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        Command::new(executable())
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// All rows of a table, by key.
    pub(crate) fn rows(&self, table: Table) -> Vec<Vec<Value>> {
        let connection = Connection::open(self.path("flights.sqlite")).unwrap();
        let sql = format!(
            "SELECT * FROM {} ORDER BY 1, 2, 3, 4, 5, 6, 7",
            table.name()
        );
        let mut statement = connection.prepare(&sql).unwrap();
        let width = statement.column_count();
        let rows = statement
            .query_map([], |row| (0..width).map(|at| row.get(at)).collect())
            .unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// The tables and the dead letters are what the report says, and nothing is counted twice.
    #[track_caller]
    pub(crate) fn holds_exactly(&self, summary: &Summary) {
        let stored = Table::ALL.map(|table| self.rows(table).len() as u64);
        assert_eq!(stored, [summary.delivered, summary.late]);
        assert_eq!(self.dead_letters().len() as u64, summary.rejected);
        assert_eq!(summary.by_origin.values().sum::<u64>(), summary.delivered);
        let settled = summary.dropped + summary.rejected + summary.delivered;
        assert_eq!(summary.read, settled + summary.left, "{summary:?}");
    }

    pub(crate) fn dead_letters(&self) -> Vec<serde_json::Value> {
        let text = fs::read_to_string(self.path("flights-dead.ndjson")).unwrap();
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Line, stage and original of each; the wording of a cause is each program's own.
    pub(crate) fn dead_letters_by_line(&self) -> Vec<(u64, String, String)> {
        let letters = self.dead_letters().into_iter();
        let mut letters: Vec<_> = letters
            .map(|letter| {
                let line = letter["line"].as_u64().unwrap();
                (
                    line,
                    letter["stage"].to_string(),
                    letter["original"].to_string(),
                )
            })
            .collect();
        letters.sort();
        letters
    }

    /// The names of the files in its folder.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }
}

// === impl Run ===

impl Run {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            status: output.status.code().expect("it ends by itself"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    pub(crate) fn summary(&self) -> Summary {
        let summary = serde_json::from_str(&self.stdout);
        summary.unwrap_or_else(|error| panic!("{error}: {:?} {}", self.stdout, self.stderr))
    }

    /// It refused to start: one line of error with these words, no report, no panic.
    #[track_caller]
    pub(crate) fn is_refused_with(&self, words: &[&str]) {
        assert_eq!(
            (self.status, self.stdout.as_str()),
            (1, ""),
            "{}",
            self.stderr
        );
        assert_eq!(self.stderr.lines().count(), 1, "{}", self.stderr);
        for word in ["error: "].iter().chain(words) {
            assert!(self.stderr.contains(word), "no `{word}` in {}", self.stderr);
        }
    }
}

/// Cargo builds examples beside the tests, but tells the tests no path to them.
fn executable() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target = test.parent().and_then(Path::parent).unwrap();
    let name = format!("flights{}", std::env::consts::EXE_SUFFIX);
    let path = target.join("examples").join(name);
    assert!(
        path.exists(),
        "build it first: cargo build --example flights"
    );
    path
}
