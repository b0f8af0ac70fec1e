//! One job on one server, and who does it how fast.

use std::fmt;

use tokio::runtime::Runtime;

use super::{Failed, Plan};
use crate::measure::clock::Spent;
use crate::measure::median;
use crate::measure::rounds::{Timing, samples, summary, timing};
use crate::runtime::two_workers;

/// Does the job once, and says what it took.
pub type Run<'a> = Box<dyn FnMut(&Runtime) -> Result<Spent, Failed> + 'a>;

/// One job that contenders are compared on; the first of them is ours.
#[derive(Debug)]
pub struct Contest<'a> {
    /// What it is called on the command line.
    pub name: String,
    /// What the job is.
    pub title: String,
    /// Messages of one run.
    pub messages: u32,
    /// Who does it.
    pub contenders: Vec<Contender<'a>>,
}

/// Who does the job.
pub struct Contender<'a> {
    name: &'static str,
    goal: Option<f64>,
    run: Run<'a>,
}

/// One contest, and how it went.
#[derive(Debug)]
pub struct Standing {
    /// The contest.
    pub name: String,
    /// What the job was.
    pub title: String,
    /// One row per contender; those that win against us stay.
    pub rows: Vec<Row>,
}

/// One contender, and how it went.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Who.
    pub contender: &'static str,
    /// Medians over the rounds.
    pub timing: Timing,
    /// Its time divided by ours.
    pub ratio: Ratio,
    /// What the ratio must be at least, if anything.
    pub goal: Option<f64>,
}

/// The ratios of all rounds.
#[derive(Debug, Clone, Copy)]
pub struct Ratio {
    /// The one in the middle.
    pub median: f64,
    /// The lowest.
    pub least: f64,
    /// The highest.
    pub most: f64,
}

/// A contender could not do the job.
#[derive(Debug, thiserror::Error)]
#[error("{contest}/{contender} failed")]
pub struct ContestError {
    contest: String,
    contender: &'static str,
    source: Failed,
}

// === impl Contender ===

impl<'a> Contender<'a> {
    /// Towpath itself.
    pub fn towpath(run: impl FnMut(&Runtime) -> Result<Spent, Failed> + 'a) -> Self {
        Self::peer("towpath", run)
    }

    /// Somebody else.
    pub fn peer(
        name: &'static str,
        run: impl FnMut(&Runtime) -> Result<Spent, Failed> + 'a,
    ) -> Self {
        Self {
            name,
            goal: None,
            run: Box::new(run),
        }
    }

    /// Somebody whose throughput we mean to reach to this part.
    #[must_use]
    pub fn goal(mut self, ratio: f64) -> Self {
        self.goal = Some(ratio);
        self
    }
}

impl fmt::Debug for Contender<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contender")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

// === impl Contest ===

impl Contest<'_> {
    /// Lets all contenders do the job in turns: once to warm up, then as the plan has it.
    ///
    /// # Errors
    /// Fails when a contender does, and when the system gives no threads.
    pub fn hold(mut self, plan: &Plan) -> Result<Standing, Failed> {
        let runtime = two_workers()?;
        let kept = |contender: &Contender<'_>| contender.name.contains(&plan.contender);
        self.contenders.retain(kept);
        let count = self.contenders.len();
        samples(count, 1, |place| self.sample(place, &runtime))?;
        let all = samples(count, plan.rounds, |place| self.sample(place, &runtime))?;
        let rows = self.contenders.iter().zip(&all);
        let rows = rows.map(|(contender, timings)| Row {
            contender: contender.name,
            timing: summary(timings),
            ratio: Ratio::of(timings, &all[0]),
            goal: contender.goal,
        });
        Ok(Standing {
            rows: rows.collect(),
            name: self.name,
            title: self.title,
        })
    }

    fn sample(&mut self, place: usize, runtime: &Runtime) -> Result<Timing, ContestError> {
        let contender = &mut self.contenders[place];
        let spent = (contender.run)(runtime).map_err(|source| ContestError {
            contest: self.name.clone(),
            contender: contender.name,
            source,
        })?;
        Ok(timing(spent, self.messages))
    }
}

// === impl Row ===

impl Row {
    /// Messages a second.
    pub fn per_second(&self) -> f64 {
        1e9 / self.timing.wall_ns
    }

    /// Whether the goal is met; `None` where there is none.
    pub fn is_met(&self) -> Option<bool> {
        self.goal.map(|goal| self.ratio.median >= goal)
    }
}

// === impl Ratio ===

impl Ratio {
    /// Round by round: what slows a round down slows both.
    fn of(timings: &[Timing], ours: &[Timing]) -> Self {
        let ratios = timings.iter().zip(ours);
        let ratios: Vec<_> = ratios
            .map(|(peer, ours)| peer.wall_ns / ours.wall_ns)
            .collect();
        Self {
            least: ratios.iter().copied().fold(f64::NAN, f64::min),
            most: ratios.iter().copied().fold(f64::NAN, f64::max),
            median: median(ratios).unwrap_or(f64::NAN),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_within_each_round() {
        let timings = |of: [f64; 3]| {
            of.map(|wall_ns| Timing {
                wall_ns,
                cpu_ns: None,
            })
        };
        let ratio = Ratio::of(&timings([10.0, 300.0, 9.0]), &timings([10.0, 200.0, 10.0]));
        assert_eq!((ratio.least, ratio.median, ratio.most), (0.9, 1.0, 1.5));
    }
}
