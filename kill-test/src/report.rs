//! The line of JSON, and whether the run was good.

use serde::Serialize;

use crate::verdict::Verdict;

/// At least one of so many kills must have met messages in flight.
const ONE_IN: u64 = 2;

/// A run in figures.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) route: String,
    pub(crate) store: String,
    pub(crate) sink: String,
    pub(crate) seed: u64,
    #[serde(flatten)]
    pub(crate) verdict: Verdict,
    #[serde(flatten)]
    pub(crate) toll: Toll,
    /// Messages that were taken again after they had been taken before.
    pub(crate) redelivered: u64,
    pub(crate) seconds: f64,
    pub(crate) ok: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) problems: Vec<String>,
}

/// What was killed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Toll {
    /// All kills.
    pub(crate) kills: u64,
    /// Those of servers.
    #[serde(rename = "server_kills")]
    pub(crate) servers: u64,
    /// Those that met messages in flight.
    #[serde(rename = "kills_in_flight")]
    pub(crate) at_work: u64,
    /// The messages that they met: no more duplicates than that may arise.
    pub(crate) in_flight: u64,
}

// === impl Report ===

impl Report {
    /// Judges: a loss, a damaged row, too many duplicates, and a run that proves nothing are bad.
    pub(crate) fn judge(mut self, leaves_duplicates: bool, asked: u64) -> Self {
        let Toll {
            kills,
            at_work,
            in_flight,
            ..
        } = self.toll;
        let (duplicates, allowed) = (
            self.verdict.duplicates,
            if leaves_duplicates { in_flight } else { 0 },
        );
        if duplicates > allowed {
            let problem = format!("{duplicates} duplicates where {allowed} may be");
            self.problems.push(problem);
        }
        if kills < asked {
            self.problems.push(format!("{kills} kills of {asked}"));
        }
        if at_work * ONE_IN < kills {
            let problem = format!("only {at_work} kills met messages in flight");
            self.problems.push(problem);
        }
        self.problems.append(&mut self.verdict.problems);
        self.ok = self.problems.is_empty();
        self
    }
}

// === impl Toll ===

impl Toll {
    pub(crate) fn add(&mut self, is_server: bool, in_flight: u64) {
        self.kills += 1;
        self.servers += u64::from(is_server);
        self.at_work += u64::from(in_flight > 0);
        self.in_flight += in_flight;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(verdict: Verdict, in_flight: &[u64]) -> Report {
        let mut toll = Toll::default();
        for &in_flight in in_flight {
            toll.add(false, in_flight);
        }
        Report {
            route: "sqlite".to_owned(),
            store: "sqlite".to_owned(),
            sink: "insert".to_owned(),
            seed: 1,
            verdict,
            toll,
            redelivered: 0,
            seconds: 1.0,
            ok: false,
            problems: Vec::new(),
        }
    }

    fn duplicates(duplicates: u64) -> Verdict {
        Verdict {
            duplicates,
            ..Verdict::default()
        }
    }

    #[test]
    fn as_many_duplicates_as_were_in_flight_may_arise_and_no_more() {
        assert!(report(duplicates(7), &[3, 4]).judge(true, 2).ok);
        assert!(!report(duplicates(8), &[3, 4]).judge(true, 2).ok);
        assert!(!report(duplicates(1), &[3, 4]).judge(false, 2).ok);
    }

    #[test]
    fn a_run_whose_kills_met_nothing_proves_nothing() {
        assert!(report(duplicates(0), &[1, 0]).judge(true, 2).ok);
        assert!(!report(duplicates(0), &[1, 0, 0]).judge(true, 3).ok);
        assert!(!report(duplicates(0), &[1]).judge(true, 2).ok);
    }

    #[test]
    fn what_is_wrong_with_the_numbers_is_wrong_with_the_run() {
        let mut verdict = duplicates(0);
        verdict.problems.push("lost: 1".to_owned());
        let judged = report(verdict, &[1]).judge(true, 1);
        assert_eq!(
            (judged.ok, judged.problems),
            (false, vec!["lost: 1".to_owned()])
        );
    }
}
