//! Runs everything that was asked for and hands each result to a printer as it comes.

use std::io;
use std::time::Duration;

use crate::case::{Case, Job, Unsound};
use crate::cases;
use crate::gate::{Breach, LIMITS, Limit};
use crate::latency::{CONTENDERS, PROBES, Reading};
use crate::measure::allocations::{self, AllocationsError};
use crate::measure::instructions::{self, InstructionsError};
use crate::measure::rounds::{Plan, Timing, compare};
use crate::measure::{Figures, Slope};
use crate::report::{JobReport, Row};
use crate::runtime::two_workers;

/// The benchmark could not be finished.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SuiteError {
    /// A contender lost or invented messages.
    #[error("a contender lost or invented messages")]
    Unsound(#[from] Unsound),
    /// The runtime or a thread did not start.
    #[error("the system gave no runtime or thread")]
    Start(#[from] io::Error),
    /// Instructions could not be counted.
    #[error("instructions could not be counted")]
    Instructions(#[from] InstructionsError),
    /// The example `flights` could not be measured.
    #[cfg(feature = "peers")]
    #[error("the example flights could not be measured")]
    Flights(#[from] crate::flights::FlightsBenchError),
    /// Allocations could not be counted.
    #[error("allocations could not be counted")]
    Allocations(#[from] AllocationsError),
}

/// What to run.
#[derive(Debug, Clone)]
pub struct Suite {
    /// Only benchmarks with this in their name; empty for all.
    pub only: String,
    /// Rounds, and how long one run lasts.
    pub plan: Plan,
    /// Whether to count instructions, which takes most of the time.
    pub instructions: bool,
}

// === impl Suite ===

impl Default for Suite {
    fn default() -> Self {
        let plan = Plan {
            rounds: 7,
            run: Duration::from_millis(200),
        };
        Self {
            only: String::new(),
            plan,
            instructions: true,
        }
    }
}

impl Suite {
    /// Measures every job in turn.
    ///
    /// # Errors
    /// Fails with the first contender that loses messages or cannot be measured.
    pub fn jobs(&self, mut print: impl FnMut(&JobReport)) -> Result<(), SuiteError> {
        for job in Job::ALL {
            let cases: Vec<_> = cases::of(job)
                .into_iter()
                .filter(|case| self.has(&case.to_string()))
                .collect();
            if !cases.is_empty() {
                let rows = self.rows(&cases)?;
                print(&JobReport { job, rows });
            }
        }
        self.flights(print)
    }

    #[cfg(feature = "peers")]
    fn flights(&self, mut print: impl FnMut(&JobReport)) -> Result<(), SuiteError> {
        if self.has("flights/towpath") {
            print(&crate::flights::compare(self.plan.rounds, &two_workers()?)?);
        }
        Ok(())
    }

    #[cfg(not(feature = "peers"))]
    #[expect(
        clippy::unnecessary_wraps,
        clippy::unused_self,
        reason = "the same signature"
    )]
    fn flights(&self, _: impl FnMut(&JobReport)) -> Result<(), SuiteError> {
        Ok(())
    }

    /// Asks every latency probe in turn.
    ///
    /// # Errors
    /// Fails when the system gives no thread for a source.
    pub fn probes(&self, mut print: impl FnMut(&'static str, &Reading)) -> Result<(), SuiteError> {
        let runtime = two_workers()?;
        for probe in PROBES {
            for contender in CONTENDERS {
                if self.has(&format!("{}/{}", probe.name, contender.name)) {
                    print(probe.title, &probe.ask(&runtime, &contender)?);
                }
            }
        }
        Ok(())
    }

    fn has(&self, name: &str) -> bool {
        name.contains(&self.only)
    }

    fn rows(&self, cases: &[Case]) -> Result<Vec<Row>, SuiteError> {
        let timings = compare(cases, self.plan, &two_workers()?)?;
        let counts = self.instructions && instructions::available();
        let slope = counts.then_some(instructions::QUICK);
        let row = |(case, timing): (&Case, Timing)| {
            let Timing { wall_ns, cpu_ns } = timing;
            let figures = Figures {
                wall_ns,
                cpu_ns,
                ..counted(case, slope)?
            };
            Ok(Row::of(case, figures))
        };
        cases.iter().zip(timings).map(row).collect()
    }
}

/// Measures every case that has a limit, and finds the limits that are broken.
///
/// # Errors
/// Fails when a case loses messages or cannot be measured.
pub fn gate() -> Result<(Vec<Row>, Vec<Breach>), SuiteError> {
    let (mut rows, mut breaches) = (Vec::new(), Vec::new());
    for limit in LIMITS {
        match cases::find(limit.case) {
            None => breaches.push(Breach::Missing { case: limit.case }),
            Some(case) => {
                let figures = gated(&case, &limit)?;
                breaches.extend(limit.breaches(&figures));
                rows.push(Row::of(&case, figures));
            }
        }
    }
    Ok((rows, breaches))
}

fn gated(case: &Case, limit: &Limit) -> Result<Figures, SuiteError> {
    let counts = limit.instructions.is_some() && instructions::available();
    counted(case, counts.then_some(instructions::PRECISE))
}

fn counted(case: &Case, slope: Option<Slope>) -> Result<Figures, SuiteError> {
    let instructions = slope
        .map(|slope| instructions::per_message(case, slope))
        .transpose()?;
    let allocations = Some(allocations::per_message(case)?);
    Ok(Figures {
        instructions,
        allocations,
        ..Figures::default()
    })
}
