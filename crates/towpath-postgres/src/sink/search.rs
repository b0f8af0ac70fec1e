//! Finding the rows that the server refuses, among many that it takes.

use std::ops::Range;

/// Which runs of rows to try next, until each row is written or found to be refused.
///
/// Runs are tried in the order of their rows: what comes later in a batch is written later.
/// With `b` bad rows among `n` there are at most about `2 b log n` attempts.
#[derive(Debug)]
pub(super) struct Search {
    /// The next one is the last.
    pending: Vec<Range<usize>>,
}

impl Search {
    /// Looks among `count` rows that were refused together; `hint` is the one that the server
    /// has complained of.
    pub(super) fn new(count: usize, hint: Option<usize>) -> Self {
        let mut search = Self {
            pending: Vec::new(),
        };
        search.split(0..count, hint);
        search
    }

    /// The next run to try.
    pub(super) fn next(&mut self) -> Option<Range<usize>> {
        self.pending.pop()
    }

    /// A run was refused. One of a single row is the row that was looked for.
    pub(super) fn refused(&mut self, run: Range<usize>, hint: Option<usize>) -> Option<usize> {
        if run.len() == 1 {
            return Some(run.start);
        }
        self.split(run, hint);
        None
    }

    fn split(&mut self, run: Range<usize>, hint: Option<usize>) {
        let hint = hint.filter(|hint| run.contains(hint) && run.len() > 1);
        match hint {
            // What the server says is believed only when the row was tried alone.
            Some(hint) => {
                self.halve(hint + 1..run.end);
                self.push(hint..hint + 1);
                self.push(run.start..hint);
            }
            None if run.len() > 1 => self.halve(run),
            None => self.push(run),
        }
    }

    fn halve(&mut self, run: Range<usize>) {
        let middle = run.start + run.len() / 2;
        self.push(middle..run.end);
        self.push(run.start..middle);
    }

    fn push(&mut self, run: Range<usize>) {
        if !run.is_empty() {
            self.pending.push(run);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Tries runs as a server would; returns what was written, what was refused, and in how
    /// many attempts with how many rows.
    fn find(
        count: usize,
        bad: &BTreeSet<usize>,
        hints: impl Fn(&Range<usize>) -> Option<usize>,
    ) -> (Vec<usize>, Vec<usize>, usize, usize) {
        let mut search = Search::new(count, hints(&(0..count)));
        let (mut written, mut refused) = (Vec::new(), Vec::new());
        let (mut attempts, mut rows) = (0, 0);
        while let Some(run) = search.next() {
            attempts += 1;
            rows += run.len();
            if bad.range(run.clone()).next().is_none() {
                written.extend(run);
            } else if let Some(row) = search.refused(run.clone(), hints(&run)) {
                refused.push(row);
            }
        }
        (written, refused, attempts, rows)
    }

    fn log2(count: usize) -> usize {
        count.max(2).ilog2() as usize + 1
    }

    proptest! {
        #[test]
        fn exactly_the_bad_rows_are_found_in_few_attempts(
            count in 1usize..600,
            seeds in prop::collection::vec(any::<prop::sample::Index>(), 1..40),
            hinted in any::<bool>(),
            wrong in any::<bool>(),
        ) {
            let bad: BTreeSet<_> = seeds.iter().map(|seed| seed.index(count)).collect();
            let (written, refused, attempts, _) = find(count, &bad, |run| {
                if wrong {
                    return Some(run.end + 7);
                }
                bad.range(run.clone()).next().copied().filter(|_| hinted)
            });
            let good: Vec<_> = (0..count).filter(|row| !bad.contains(row)).collect();
            prop_assert_eq!(written, good);
            prop_assert_eq!(&refused, &bad.iter().copied().collect::<Vec<_>>());
            prop_assert!(attempts <= 2 * bad.len() * (log2(count) + 1) + 1, "{}", attempts);
        }
    }

    #[test]
    fn when_all_rows_are_bad_the_work_grows_with_the_logarithm() {
        let count = 1_000;
        let bad: BTreeSet<_> = (0..count).collect();
        for hinted in [false, true] {
            let hint = |run: &Range<usize>| hinted.then_some(run.start);
            let (written, refused, attempts, rows) = find(count, &bad, hint);
            assert!(written.is_empty());
            assert_eq!(refused.len(), count);
            assert!(attempts <= 2 * count, "{attempts}");
            assert!(rows <= count * (log2(count) + 1), "{rows}");
        }
    }

    #[test]
    fn one_bad_row_that_the_server_names_costs_four_attempts() {
        let bad = BTreeSet::from([617]);
        let (.., attempts, rows) = find(1_000, &bad, |_| Some(617));
        assert_eq!((attempts, rows), (4, 1_000));
    }
}
