//! `bench`: prints the tables, lines of JSON, or the verdict of the gate.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use towpath_benches::alloc::Counting;
use towpath_benches::measure::rounds::Plan;
use towpath_benches::measure::{instructions, machine};
use towpath_benches::report::{JobReport, json, table};
use towpath_benches::suite::{Suite, SuiteError, gate};
use towpath_benches::{cases, runtime};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Measures Towpath beside its peers
#[derive(Debug, Parser)]
#[command(name = "bench")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
struct Arguments {
    /// Print one line of JSON per benchmark
    #[arg(long)]
    json: bool,
    /// Check instructions and allocations against their limits
    #[arg(long, conflicts_with = "json")]
    gate: bool,
    /// Only benchmarks with this in their name, such as `batched/`
    #[arg(long, default_value = "")]
    only: String,
    /// Rounds per job
    #[arg(long, default_value_t = 7)]
    rounds: u32,
    /// Milliseconds per run of one contender
    #[arg(long, default_value_t = 200)]
    run_ms: u64,
    /// Do not count instructions, which takes most of the time
    #[arg(long)]
    no_instructions: bool,
    /// List the names of the benchmarks
    #[arg(long)]
    list: bool,
    /// Run one case once on one thread and print nothing: what callgrind looks at
    #[arg(long, hide = true, requires = "messages")]
    single: Option<String>,
    /// Messages of `--single`
    #[arg(long, hide = true)]
    messages: Option<u32>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bench failed: {}", chain(error.as_ref()));
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    match (&arguments.single, arguments.messages) {
        (Some(name), Some(messages)) => return single(name, messages),
        _ if arguments.list => cases::all().iter().for_each(|case| println!("{case}")),
        _ if arguments.gate => return Ok(judge()?),
        _ if arguments.json => lines(&suite(arguments))?,
        _ => tables(&suite(arguments))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn suite(arguments: &Arguments) -> Suite {
    let run = Duration::from_millis(arguments.run_ms);
    Suite {
        only: arguments.only.clone(),
        plan: Plan {
            rounds: arguments.rounds,
            run,
        },
        instructions: !arguments.no_instructions,
    }
}

fn single(name: &str, messages: u32) -> Result<ExitCode, Box<dyn Error>> {
    let case = cases::find(name).ok_or_else(|| format!("no benchmark is called {name}"))?;
    case.checked(&runtime::one_thread()?, messages)?;
    Ok(ExitCode::SUCCESS)
}

fn judge() -> Result<ExitCode, SuiteError> {
    if !instructions::available() {
        println!("valgrind is not here: only allocations are judged");
    }
    let (rows, breaches) = gate()?;
    print!("{}", table::gate(&rows, &breaches));
    Ok(if breaches.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn lines(suite: &Suite) -> Result<(), SuiteError> {
    eprintln!("{}", machine::describe());
    suite.jobs(|report| json::cases(report).for_each(|line| print_line(&line)))?;
    suite.probes(|_, reading| print_line(&json::probe(reading)))
}

fn print_line(line: &impl serde::Serialize) {
    println!(
        "{}",
        serde_json::to_string(line).expect("names and numbers always serialise")
    );
}

fn tables(suite: &Suite) -> Result<(), SuiteError> {
    println!("{}\n", machine::describe());
    suite.jobs(|report: &JobReport| println!("{}", table::job(report)))?;
    let mut last = "";
    suite.probes(|title, reading| {
        if last != title {
            println!("{title}");
        }
        last = title;
        println!("{}", table::probe(reading));
    })
}

fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
