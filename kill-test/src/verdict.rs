//! What arrived, against what was sent.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::feed::Sent;
use crate::payload::Row;

/// At most so many numbers are listed where something is wrong.
const SHOWN: usize = 10;

/// What became of the numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Verdict {
    /// Numbers that the source has confirmed.
    pub(crate) produced: u64,
    /// Numbers that it has not confirmed, and that may have got through.
    pub(crate) uncertain: u64,
    /// Confirmed numbers that are in the store.
    pub(crate) delivered: u64,
    /// Confirmed numbers that are not.
    pub(crate) lost: u64,
    /// Rows beyond the first of their number.
    pub(crate) duplicates: u64,
    /// Rows that are not what was sent.
    pub(crate) damaged: u64,
    /// What is wrong, in words.
    #[serde(skip)]
    pub(crate) problems: Vec<String>,
}

/// How many kills met each number in flight.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exposed(BTreeMap<u64, u64>);

// === impl Exposed ===

impl Exposed {
    /// One kill has met these; twice where two members had one.
    pub(crate) fn add(&mut self, numbers: &[u64]) {
        for number in numbers {
            *self.0.entry(*number).or_default() += 1;
        }
    }

    fn of(&self, number: u64) -> u64 {
        self.0.get(&number).copied().unwrap_or(0)
    }
}

// === impl Verdict ===

impl Verdict {
    pub(crate) fn of(seed: u64, sent: &Sent, rows: &[Row], exposed: &Exposed) -> Self {
        let mut copies = BTreeMap::<u64, u64>::new();
        for row in rows {
            *copies.entry(row.number).or_default() += 1;
        }
        let is_damaged = |row: &&Row| row.number >= sent.tried || !row.is_intact(seed);
        let damaged: Vec<_> = rows
            .iter()
            .filter(is_damaged)
            .map(|row| row.number)
            .collect();
        let arrived: BTreeSet<_> = copies.keys().copied().collect();
        let is_unexplained = |(number, copies): &(&u64, &u64)| **copies > 1 + exposed.of(**number);
        let unexplained = copies.iter().filter(is_unexplained);
        let unexplained: Vec<_> = unexplained.map(|(number, _)| *number).collect();
        let lost: Vec<_> = sent.confirmed.difference(&arrived).copied().collect();
        let mut verdict = Self {
            produced: sent.confirmed.len() as u64,
            uncertain: sent.tried - sent.confirmed.len() as u64,
            delivered: (sent.confirmed.len() - lost.len()) as u64,
            lost: lost.len() as u64,
            duplicates: copies.values().map(|copies| copies - 1).sum(),
            damaged: damaged.len() as u64,
            problems: Vec::new(),
        };
        verdict.complain("lost", &lost);
        verdict.complain("damaged", &damaged);
        verdict.complain("there more often than kills explain", &unexplained);
        verdict
    }

    fn complain(&mut self, what: &str, numbers: &[u64]) {
        if !numbers.is_empty() {
            let first = &numbers[..numbers.len().min(SHOWN)];
            let problem = format!("{what}: {} numbers, the first are {first:?}", numbers.len());
            self.problems.push(problem);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: u64 = 5;

    fn sent(tried: u64, confirmed: impl IntoIterator<Item = u64>) -> Sent {
        Sent {
            tried,
            confirmed: confirmed.into_iter().collect(),
        }
    }

    fn rows(numbers: &[u64]) -> Vec<Row> {
        numbers
            .iter()
            .map(|&number| Row::new(SEED, number))
            .collect()
    }

    fn exposed(kills: &[&[u64]]) -> Exposed {
        let mut exposed = Exposed::default();
        for kill in kills {
            exposed.add(kill);
        }
        exposed
    }

    #[test]
    fn a_duplicate_needs_a_kill_that_met_its_number_in_flight() {
        let (sent, rows) = (sent(3, 0..3), rows(&[0, 0, 1, 2, 2, 2]));
        let verdict = Verdict::of(SEED, &sent, &rows, &exposed(&[&[0, 1, 2], &[1]]));
        let problem = "there more often than kills explain: 1 numbers, the first are [2]";
        assert_eq!(verdict.problems, [problem]);
    }

    #[test]
    fn a_confirmed_number_that_is_not_there_is_lost_and_an_uncertain_one_is_not() {
        let verdict = Verdict::of(
            SEED,
            &sent(6, [0, 1, 2, 4]),
            &rows(&[0, 3, 4]),
            &exposed(&[]),
        );
        assert_eq!((verdict.produced, verdict.uncertain), (4, 2));
        assert_eq!((verdict.delivered, verdict.lost), (2, 2));
        assert_eq!(verdict.problems, ["lost: 2 numbers, the first are [1, 2]"]);
    }

    #[test]
    fn every_copy_beyond_the_first_is_a_duplicate() {
        let verdict = Verdict::of(
            SEED,
            &sent(3, 0..3),
            &rows(&[0, 1, 1, 1, 2, 2]),
            &exposed(&[&[1, 2], &[0, 1]]),
        );
        assert_eq!((verdict.delivered, verdict.duplicates), (3, 3));
        assert!(verdict.problems.is_empty());
    }

    #[test]
    fn a_changed_row_and_a_number_that_was_never_sent_are_damaged() {
        let mut rows = rows(&[0, 1, 9]);
        rows[1].text.push('!');
        let verdict = Verdict::of(SEED, &sent(2, 0..2), &rows, &exposed(&[]));
        assert_eq!((verdict.damaged, verdict.lost), (2, 0));
    }
}
