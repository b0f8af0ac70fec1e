//! What is random in a rule, and can be had again.

use std::{
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

/// The variable that sets the seed.
const VARIABLE: &str = "TOWPATH_SEED";

/// Random numbers from a seed that was printed.
pub(super) struct Seeded(u64);

// === impl Seeded ===

impl Seeded {
    /// Begins with the seed of the environment, or a new one, and prints it.
    pub(super) fn new() -> Self {
        let given = std::env::var(VARIABLE).ok();
        let given = given.and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| RandomState::new().hash_one(0_u8));
        println!("{VARIABLE}={seed}");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below another.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        let limit = limit.max(1) as u64;
        usize::try_from(self.next() % limit).unwrap_or(0)
    }

    /// A time up to another.
    pub(super) fn up_to(&mut self, time: Duration) -> Duration {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.next() % micros.max(1))
    }
}
