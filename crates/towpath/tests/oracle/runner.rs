//! A fixed number of random cases from a seed that is printed.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    panic,
    sync::Once,
};

use proptest::{
    strategy::Strategy,
    test_runner::{
        Config, FileFailurePersistence, RngAlgorithm, TestCaseError, TestRng, TestRunner,
    },
};

use crate::pipeline::{FAULT, Real};

static QUIET: Once = Once::new();

/// What happened in all cases together.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// How often each outcome.
    pub(crate) words: BTreeMap<&'static str, usize>,
    pub(crate) written: usize,
}

impl Seen {
    pub(crate) fn of(real: &Real) -> Self {
        let mut words = BTreeMap::new();
        for outcome in real.outcomes.values().flatten() {
            *words.entry(outcome.word()).or_default() += 1;
        }
        let written = real.written.len();
        Self { words, written }
    }

    fn add(&mut self, other: Self) {
        for (word, count) in other.words {
            *self.words.entry(word).or_default() += count;
        }
        self.written += other.written;
    }
}

/// Runs the regressions and `cases` new cases; what they saw together.
#[track_caller]
pub(crate) fn run<S>(
    cases: u32,
    strategy: &S,
    case: impl Fn(&S::Value) -> Result<Seen, TestCaseError>,
) -> Seen
where
    S: Strategy,
{
    let seed = seed();
    println!("TOWPATH_SEED={seed}");
    let regressions = FileFailurePersistence::Direct("tests/oracle/regressions.txt");
    let config = Config {
        cases,
        failure_persistence: Some(Box::new(regressions)),
        source_file: Some(file!()),
        max_shrink_iters: 2_000,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let total = RefCell::new(Seen::default());
    QUIET.call_once(keep_faults_quiet);
    let ran = runner.run(strategy, |value| {
        let one = case(&value)?;
        total.borrow_mut().add(one);
        Ok(())
    });
    if let Err(failed) = ran {
        panic!("TOWPATH_SEED={seed}\n{failed}");
    }
    total.into_inner()
}

/// Handlers panic as described; what they say would drown what the tests have to say.
fn keep_faults_quiet() {
    let others = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let said = info.payload().downcast_ref::<String>();
        if said.is_none_or(|said| said != FAULT) {
            others(info);
        }
    }));
}

fn seed() -> u64 {
    let given = std::env::var("TOWPATH_SEED").ok();
    given
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| RandomState::new().hash_one("oracle"))
}
