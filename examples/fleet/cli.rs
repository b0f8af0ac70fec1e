//! What can be said on the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Members of a fleet share the tasks of a stream or of a topic.
#[derive(Debug, Parser)]
#[command(name = "fleet")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Puts tasks in, and makes the stream or the topic first where there is none.
    Fill(Fill),
    /// Works as one member, until Ctrl-C.
    Work(Work),
    /// Shows what each member has worked.
    Show(Show),
}

/// Where tasks wait.
#[derive(Clone, Debug, Args)]
pub(crate) struct Place {
    /// What holds the tasks.
    #[arg(long, value_enum)]
    pub(crate) source: SourceKind,
    /// `nats://HOST:4222`, or `HOST:9092`.
    #[arg(long)]
    pub(crate) address: String,
    /// The stream or topic.
    #[arg(long, default_value = "fleet")]
    pub(crate) name: String,
}

/// What holds the tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SourceKind {
    /// A stream of NATS.
    Nats,
    /// A topic of Kafka.
    Kafka,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Fill {
    #[command(flatten)]
    pub(crate) place: Place,
    /// How many tasks.
    #[arg(long, default_value_t = 1000)]
    pub(crate) tasks: u32,
    /// The number of the first of them.
    #[arg(long, default_value_t = 0)]
    pub(crate) first: u32,
    /// Whose tasks they are: so many customers, in turns.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) customers: u32,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Work {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Who it is; each member has its own name.
    #[arg(long)]
    pub(crate) member: String,
    /// Works the tasks of a customer one after another, whichever member they come to.
    #[arg(long)]
    pub(crate) ordered: bool,
    /// How long a task takes, in milliseconds.
    #[arg(long, value_name = "MS", default_value = "20", value_parser = millis)]
    pub(crate) takes: Duration,
    /// How long the others wait for a member that is not heard of, in milliseconds.
    #[arg(long, value_name = "MS", default_value = "6000", value_parser = millis)]
    pub(crate) lease: Duration,
    /// Where it writes down what it has worked.
    #[arg(long, default_value = "fleet.db")]
    pub(crate) book: PathBuf,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Show {
    /// Where members wrote down what they have worked.
    #[arg(long, default_value = "fleet.db")]
    pub(crate) book: PathBuf,
}

fn millis(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_millis)
}
