//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::plan::Server;

/// Kills pipelines and servers at random moments, and counts what arrives.
#[derive(Debug, Parser)]
#[command(name = "kill-test")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Produces numbered messages, kills, waits until it is quiet, counts. Prints a line of JSON.
    Run(Run),
    /// One pipeline process; `run` starts it. It ends when its input does.
    #[command(hide = true)]
    Pipe(Pipe),
}

/// What is killed, how often, and how its messages reach their end.
#[derive(Clone, Debug, Args)]
pub(crate) struct Run {
    /// Where messages come from.
    #[arg(long, value_enum)]
    pub(crate) route: SourceKind,
    /// Where they end; a SQLite file for `sqlite`, PostgreSQL for all others, unless given.
    #[arg(long, value_enum)]
    pub(crate) store: Option<StoreKind>,
    /// How rows are written.
    #[arg(long, value_enum, default_value = "once")]
    pub(crate) sink: SinkKind,
    /// How many times something is killed, servers included.
    #[arg(long, default_value_t = 20)]
    pub(crate) kills: usize,
    /// Of the victims and moments; another one each time unless given. It is in the line of JSON.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// How many pipeline processes run at once.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(crate) members: u8,
    /// Messages per second.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(50..=100_000))]
    pub(crate) rate: u32,
    /// Says each kill, and what it met.
    #[arg(long, short)]
    pub(crate) verbose: bool,
    /// A server that is not killed.
    #[arg(long, value_enum)]
    pub(crate) spare: Vec<Server>,
    #[command(flatten)]
    pub(crate) fault: Fault,
}

/// One pipeline process.
#[derive(Clone, Debug, Args)]
pub(crate) struct Pipe {
    #[arg(long, value_enum)]
    pub(crate) route: SourceKind,
    #[arg(long, value_enum)]
    pub(crate) store: StoreKind,
    #[arg(long, value_enum)]
    pub(crate) sink: SinkKind,
    /// The address of the source, or its file.
    #[arg(long)]
    pub(crate) from: String,
    /// The address of the store, or its file.
    #[arg(long)]
    pub(crate) to: String,
    /// Who it is.
    #[arg(long)]
    pub(crate) member: String,
    /// What it writes as it works, without an ending.
    #[arg(long)]
    pub(crate) journal: PathBuf,
    #[command(flatten)]
    pub(crate) fault: Fault,
}

/// What is wrong with the pipeline on purpose.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct Fault {
    /// Messages are acknowledged before they are written: they must get lost.
    #[arg(long, hide = true)]
    pub(crate) acknowledge_early: bool,
}

/// Where messages come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SourceKind {
    /// A queue in a SQLite file.
    Sqlite,
    /// A stream of JetStream.
    Nats,
    /// A topic of Kafka.
    Kafka,
    /// A table of PostgreSQL as a queue.
    Postgres,
}

/// Where rows end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StoreKind {
    /// A table in a SQLite file.
    Sqlite,
    /// A table of PostgreSQL.
    Postgres,
}

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SinkKind {
    /// Each delivery makes a row: duplicates are there to be counted.
    Insert,
    /// A row that is there is written over.
    Upsert,
    /// In one transaction with the identity of the message, so that a repeat is noticed.
    Once,
}

// === impl Run ===

impl Run {
    pub(crate) fn store(&self) -> StoreKind {
        self.store.unwrap_or(match self.route {
            SourceKind::Sqlite => StoreKind::Sqlite,
            SourceKind::Nats | SourceKind::Kafka | SourceKind::Postgres => StoreKind::Postgres,
        })
    }
}

/// The word for a value on the command line.
pub(crate) fn word(value: &impl ValueEnum) -> String {
    let possible = value.to_possible_value();
    possible.map_or_else(String::new, |possible| possible.get_name().to_owned())
}
