//! Signals to processes, and who their children are.

use std::process::{Command, Stdio};
use std::{fs, io};

/// As far as tests need them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Kill,
    Terminate,
    Interrupt,
    Quit,
    Stop,
    Continue,
}

impl Signal {
    /// As the shell knows it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kill => "KILL",
            Self::Terminate => "TERM",
            Self::Interrupt => "INT",
            Self::Quit => "QUIT",
            Self::Stop => "STOP",
            Self::Continue => "CONT",
        }
    }

    /// Sends it to processes of which some may have ended.
    pub(crate) fn send(self, processes: &[u32]) -> io::Result<()> {
        // Each shell has a `kill` of its own; not each machine has the program.
        Command::new("sh")
            .args(["-c", r#"kill -s "$0" "$@""#, self.name()])
            .args(processes.iter().map(u32::to_string))
            .stderr(Stdio::null())
            .status()
            .map(drop)
    }
}

/// The children of a process that are there now; of a stopped process there are no more to come.
/// None on a system without `/proc`.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers
        .filter(|process| stat(*process).is_some_and(|stat| stat.parent == parent))
        .collect()
}

/// Whether it does nothing any more: gone, or only not yet waited for.
pub(crate) fn is_gone(process: u32) -> bool {
    stat(process).is_none_or(|stat| stat.state == "Z" || stat.state == "X")
}

/// Whether it does nothing until it may continue; a signal takes a moment to get there.
pub(crate) fn is_stopped(process: u32) -> bool {
    is_gone(process) || stat(process).is_some_and(|stat| stat.state == "T")
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: String,
    parent: u32,
}

fn stat(process: u32) -> Option<Stat> {
    parse(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

/// The name stands in parentheses, and may hold everything.
fn parse(line: &str) -> Option<Stat> {
    let (_, rest) = line.rsplit_once(')')?;
    let mut words = rest.split_whitespace();
    let state = words.next()?.to_owned();
    let parent = words.next()?.parse().ok()?;
    Some(Stat { state, parent })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_confuse() {
        let found = parse("42 (a) b (c)) T 7 42 42 0 -1").unwrap();
        assert_eq!((&*found.state, found.parent), ("T", 7));
        assert_eq!(parse("42"), None);
    }

    #[test]
    fn a_child_is_found_and_whether_it_is_stopped_or_gone() {
        let mut child = Command::new("sleep").arg("3600").spawn().unwrap();
        assert!(children(std::process::id()).contains(&child.id()));
        assert!(!is_stopped(child.id()) && !is_gone(child.id()));
        Signal::Stop.send(&[child.id()]).unwrap();
        while !is_stopped(child.id()) {
            thread::yield_now();
        }
        Signal::Kill.send(&[child.id()]).unwrap();
        child.wait().unwrap();
        assert!(is_gone(child.id()));
    }
}
