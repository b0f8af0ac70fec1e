//! One place among the pipeline processes: killed and started again, it has many lives.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::clock::Deadline;
use crate::journal::Place;

/// A member, dead or alive. A process that lives is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Member {
    name: String,
    folder: PathBuf,
    /// What all its processes are told.
    arguments: Vec<String>,
    lives: Vec<Place>,
    process: Option<Child>,
}

// === impl Member ===

impl Member {
    /// A member that has not lived yet; its processes write into the folder.
    pub(crate) fn new(name: String, folder: &Path, arguments: Vec<String>) -> Self {
        Self {
            name,
            folder: folder.to_path_buf(),
            arguments,
            lives: Vec::new(),
            process: None,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Starts its next process.
    pub(crate) fn start(&mut self) -> io::Result<()> {
        let life = format!("{}-{}", self.name, self.lives.len() + 1);
        let place = Place::new(self.folder.join(life));
        let log = File::create(log_of(&place))?;
        let process = Command::new(std::env::current_exe()?)
            .arg("pipe")
            .args(&self.arguments)
            .args(["--member", &self.name, "--journal"])
            .arg(place.path())
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.process = Some(process);
        self.lives.push(place);
        Ok(())
    }

    /// SIGKILL; returns when its process is gone.
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill()?;
            process.wait()?;
        }
        Ok(())
    }

    /// Whether it has a process that nobody has killed.
    pub(crate) fn is_alive(&self) -> bool {
        self.process.is_some()
    }

    /// Whether its process has ended though nobody killed it, or there is none.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.process.is_none() || !matches!(self.ended(), Ok(None))
    }

    /// Messages taken in its present life whose outcome the source has not confirmed.
    pub(crate) fn in_flight(&self) -> u64 {
        self.lives.last().map_or(0, |life| {
            // In this order, so that what happens meanwhile does not make it less.
            let confirmed = life.confirmed();
            life.count().saturating_sub(confirmed)
        })
    }

    /// The outcomes of its present life that the source has confirmed.
    pub(crate) fn confirmed(&self) -> u64 {
        self.lives.last().map_or(0, Place::confirmed)
    }

    /// The messages taken in its present life.
    pub(crate) fn taken(&self) -> Vec<u64> {
        self.lives.last().map_or_else(Vec::new, Place::numbers)
    }

    /// How its process ended, where nobody killed it.
    pub(crate) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.process.as_mut().map_or(Ok(None), Child::try_wait)
    }

    /// Closes its input, which asks it to drain; `None` when it has not ended in time.
    pub(crate) fn end(&mut self, within: Duration) -> io::Result<Option<ExitStatus>> {
        if let Some(process) = &mut self.process {
            drop(process.stdin.take());
        }
        let mut failed = None;
        let status = Deadline::after(within).poll(|| match self.ended() {
            Ok(status) => status,
            Err(error) => {
                failed = Some(error);
                None
            }
        });
        match failed {
            Some(error) => Err(error),
            None => Ok(status),
        }
    }

    /// The numbers that it has taken in all its lives.
    pub(crate) fn all_taken(&self) -> Vec<u64> {
        self.lives.iter().flat_map(Place::numbers).collect()
    }

    /// What its last process said, and the one before.
    pub(crate) fn logs(&self) -> String {
        let last = self.lives.iter().rev().take(2).rev();
        let logs = last.map(|life| {
            let log = fs::read_to_string(log_of(life)).unwrap_or_default();
            format!("--- {}\n{log}", life.path().display())
        });
        logs.collect()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // A process that has ended cannot be killed: nothing is wrong then.
        drop(self.kill());
    }
}

fn log_of(life: &Place) -> PathBuf {
    life.path().with_extension("log")
}
