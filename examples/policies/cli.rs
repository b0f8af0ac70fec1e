//! What can be said on the command line.

use std::time::Duration;

use clap::builder::RangedU64ValueParser;
use clap::{Parser, ValueEnum};
use towpath::Rate;

/// Sends orders to a simulated service that dies again and again, and loses none.
#[derive(Debug, Parser)]
#[command(name = "policies")]
pub(crate) struct Cli {
    /// Orders to send.
    #[arg(long, value_name = "COUNT", default_value_t = 1500, value_parser = up_to(1_000_000))]
    pub(crate) messages: u64,
    /// The rate limit at first, such as 300/s or 20 per 50ms.
    #[arg(long, value_name = "RATE", default_value = "300/s")]
    pub(crate) rate: Rate,
    /// The rate limit later.
    #[arg(long, value_name = "RATE", default_value = "900/s")]
    pub(crate) then: Rate,
    /// When the rate changes.
    #[arg(long, value_name = "MS", default_value_t = 2000, value_parser = up_to(3_600_000))]
    after: u64,
    /// How long the service is up each time.
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = up_to(3_600_000))]
    up: u64,
    /// How long it is down each time; 0 is never.
    #[arg(long, value_name = "MS", default_value_t = 700, value_parser = up_to(60_000))]
    down: u64,
    /// Makes chance the same again: which orders are refused, and how long retries wait.
    #[arg(long, value_name = "NUMBER", default_value_t = 7)]
    pub(crate) seed: u64,
    /// How to print the report.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) report: Format,
}

/// How to print the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// One line of JSON.
    Json,
}

fn up_to(most: u64) -> RangedU64ValueParser<u64> {
    RangedU64ValueParser::new().range(..=most)
}

// === impl Cli ===

impl Cli {
    pub(crate) fn after(&self) -> Duration {
        Duration::from_millis(self.after)
    }

    /// How long the service is up and down, in turn. It is up at first.
    pub(crate) fn up_and_down(&self) -> (Duration, Duration) {
        (
            Duration::from_millis(self.up),
            Duration::from_millis(self.down),
        )
    }
}
