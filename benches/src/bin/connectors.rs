//! `connectors`: prints what the connectors cost beside loops by hand.

use std::error::Error;
use std::fmt::Display;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use towpath_benches::connectors::contest::Contest;
use towpath_benches::connectors::{
    Failed, Plan, jetstream, kafka, outage, postgres, report, sqlite,
};
use towpath_benches::measure::machine;
use towpath_benches::runtime::two_workers;
use towpath_test_servers::{Kafka, Nats, NotHere, Postgres};

/// Measures the connectors beside loops by hand on the same clients
#[derive(Debug, Parser)]
#[command(name = "connectors")]
struct Arguments {
    /// Print one line of JSON per contender
    #[arg(long)]
    json: bool,
    /// Only contests whose names begin so, such as `jetstream`
    #[arg(long, default_value = "")]
    only: String,
    /// Only contenders with this in their name
    #[arg(long, default_value = "")]
    contender: String,
    /// Rounds per contest
    #[arg(long, default_value_t = 7)]
    rounds: u32,
    /// How many times the usual number of messages
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Seconds that the server of a sink is away
    #[arg(long, default_value_t = 60)]
    away: u64,
}

/// What is printed, and how.
struct Printer {
    plan: Plan,
    json: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("connectors failed: {}", chain(error.as_ref()));
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failed> {
    let printer = Printer {
        plan: Plan {
            only: arguments.only.clone(),
            contender: arguments.contender.clone(),
            rounds: arguments.rounds.max(1),
            scale: arguments.scale,
            away: Duration::from_secs(arguments.away),
        },
        json: arguments.json,
    };
    eprintln!("{}\n", machine::describe());
    printer.outages()?;
    printer.jetstream()?;
    printer.kafka()?;
    printer.postgres()?;
    printer.hold(sqlite::contests(&printer.plan))
}

// === impl Printer ===

impl Printer {
    fn outages(&self) -> Result<(), Failed> {
        if !self.plan.wants(&outage::NAMES) {
            return Ok(());
        }
        let Some(mut server) = here(Postgres::start()) else {
            return Ok(());
        };
        if self.plan.wants(&outage::NAMES[..1])
            && let Some(nats) = here(Nats::start())
        {
            self.print_memory(&outage::of_jetstream(&nats, &mut server, &self.plan)?);
        }
        if self.plan.wants(&outage::NAMES[1..])
            && let Some(broker) = here(Kafka::start())
        {
            self.print_memory(&outage::of_kafka(&broker, &mut server, &self.plan)?);
        }
        Ok(())
    }

    fn jetstream(&self) -> Result<(), Failed> {
        if !self.plan.wants(&jetstream::NAMES) {
            return Ok(());
        }
        let Some(nats) = here(Nats::start()) else {
            return Ok(());
        };
        let messages = self.plan.messages(100_000);
        let place = jetstream::Place::filled(&two_workers()?, nats.url(), messages)?;
        self.hold(place.contests(&self.plan))
    }

    fn kafka(&self) -> Result<(), Failed> {
        if !self.plan.wants(&kafka::NAMES) {
            return Ok(());
        }
        let Some(broker) = here(Kafka::start()) else {
            return Ok(());
        };
        self.hold(kafka::contests(&broker, &self.plan)?)
    }

    fn postgres(&self) -> Result<(), Failed> {
        if !self.plan.wants(&postgres::NAMES) {
            return Ok(());
        }
        let Some(server) = here(Postgres::start()) else {
            return Ok(());
        };
        let place = postgres::Place::new(&server, &self.plan);
        self.hold(place.contests(&self.plan))
    }

    fn hold(&self, contests: Vec<Contest<'_>>) -> Result<(), Failed> {
        for contest in contests {
            let standing = contest.hold(&self.plan)?;
            if self.json {
                report::lines(&standing).for_each(|line| print_line(&line));
            } else {
                println!("{}", report::table(&standing));
            }
        }
        Ok(())
    }

    fn print_memory(&self, memory: &outage::Memory) {
        if self.json {
            print_line(memory);
        } else {
            println!("{}", report::memory(memory));
        }
    }
}

/// A server, unless it is not there: then it is said.
fn here<S>(server: Result<S, NotHere>) -> Option<S> {
    server.map_err(|error| not_measured(&error)).ok()
}

fn not_measured(error: &dyn Display) {
    eprintln!("not measured: {error}");
}

fn print_line(line: &impl serde::Serialize) {
    println!(
        "{}",
        serde_json::to_string(line).expect("names and numbers always serialise")
    );
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
