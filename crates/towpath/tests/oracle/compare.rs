//! What must be the same on both sides.

use std::collections::BTreeMap;

use proptest::test_runner::TestCaseError;

use crate::{
    description::{Description, Item, Line},
    interpreter::{self, Account},
    pipeline::{self, Real},
    runner::Seen,
};

/// Runs both, and compares what became of each delivery.
pub(crate) fn outcomes(description: &Description) -> Result<Seen, TestCaseError> {
    let real = pipeline::run(description);
    same(&real, &interpreter::run(description)).map_err(TestCaseError::fail)?;
    Ok(Seen::of(&real))
}

/// As [`outcomes`], and what each sink writes of each lane comes in the same order.
pub(crate) fn order(
    description: &Description,
    lane: impl Fn(&Item) -> u64,
) -> Result<Seen, TestCaseError> {
    let real = pipeline::run(description);
    let oracle = interpreter::run(description);
    same(&real, &oracle).map_err(TestCaseError::fail)?;
    if lanes(&real.written, &lane) != lanes(&oracle.written, &lane) {
        let (real, oracle) = (&real.written, &oracle.written);
        let reason = format!("written in another order: {real:?}\nthe oracle: {oracle:?}");
        return Err(TestCaseError::fail(reason));
    }
    Ok(Seen::of(&real))
}

type Lanes = BTreeMap<(usize, u64), Vec<Item>>;

fn lanes(lines: &[Line], lane: impl Fn(&Item) -> u64) -> Lanes {
    let mut written = Lanes::new();
    for (sink, item) in lines {
        written.entry((*sink, lane(item))).or_default().push(*item);
    }
    written
}

/// The same outcomes, the same messages written, the same letters.
pub(crate) fn same(real: &Real, oracle: &Account) -> Result<(), String> {
    for (index, fates) in &oracle.fates {
        let outcomes = real.outcomes.get(index).map_or(&[][..], Vec::as_slice);
        let alike = fates.len() == outcomes.len()
            && fates
                .iter()
                .zip(outcomes)
                .all(|(fate, outcome)| fate.allows(outcome));
        if !alike {
            return Err(format!(
                "message {index}: {outcomes:?}, the oracle says {fates:?}"
            ));
        }
    }
    let sorted = |items: &[Line]| {
        let mut items = items.to_vec();
        items.sort_unstable();
        items
    };
    if sorted(&real.written) != sorted(&oracle.written) {
        return Err(format!(
            "written: {:?}, the oracle: {:?}",
            real.written, oracle.written
        ));
    }
    match &real.letters {
        Some(letters) if *letters != oracle.letters => Err(format!(
            "letters: {letters:?}, the oracle: {:?}",
            oracle.letters
        )),
        _ => Ok(()),
    }
}
