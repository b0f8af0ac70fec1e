//! Run: `cargo xtask kill-test --route sqlite --kills 20 --seed 1`
//!
//! An oracle outside the pipeline sends numbered messages, kills pipeline processes and servers at
//! random moments that a seed decides, and at the end looks for each number in the store.
//!
//! ```text
//! feeder --confirmed--> source ==> pipeline process a ==> store --> rows
//!    |                     ^   ==> pipeline process b ==>  ^          |
//!    v                     |            ^                  |          v
//!  produced             SIGKILL      SIGKILL            SIGKILL    verdict: lost, duplicates
//! ```
//!
//! The same seed makes the same plan of victims and moments; what the processes are doing
//! at those moments is up to the machine.
//!
//! # What was in flight
//! A pipeline process writes down each message that it takes, and how many outcomes its source has
//! confirmed, in files that outlive it (`journal.rs`). *Taken and not confirmed* is what a killed
//! process had in flight, and what all of them had when a server was killed. Of Kafka the oracle
//! asks what the group has committed just before: taken and not committed is in flight, also what
//! a member had fetched before its broker died and took after. JetStream writes what it has
//! confirmed to its file a little later: the last of it counts as in flight when it is killed.
//!
//! With plain inserts there may be as many duplicates as were in flight, summed over the kills, and
//! no number may be there more often than kills have met it. With `once` and with upserts each
//! number is there once, though many were delivered again: `redelivered` in the line of JSON.

mod cli;
mod clock;
mod feed;
mod journal;
mod member;
mod oracle;
mod payload;
mod pipe;
mod plan;
mod report;
mod system;
mod verdict;

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

/// The run could not be made, or not to its end.
const NOT_RUN: u8 = 2;

fn main() -> ExitCode {
    let done = match &Cli::parse().command {
        Command::Run(options) => oracle::run(options),
        Command::Pipe(options) => pipe::run(options).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(format_args!("error: {}", chain(&*error)));
            ExitCode::from(NOT_RUN)
        }
    }
}

/// The error and its causes, on one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    let levels: Vec<String> = causes.map(ToString::to_string).collect();
    levels.join(": ")
}

/// Where nobody listens there is nobody to tell.
fn say(words: std::fmt::Arguments<'_>) {
    writeln!(std::io::stderr(), "{words}").unwrap_or_default();
}
