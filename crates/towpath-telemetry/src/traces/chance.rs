//! Chooses messages by chance, at no cost for those between.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use fastrand::Rng;

/// Chooses each message with the same probability, independently of the others.
///
/// Not by a draw for each, but by one for the gap to the next: the number of failures
/// before a success has the geometric distribution.
#[derive(Debug)]
pub(super) enum Chance {
    Never,
    Always,
    Sometimes(Countdown),
}

#[derive(Debug)]
pub(super) struct Countdown {
    /// How many messages are passed over before the next is chosen.
    gap: AtomicU64,
    /// The logarithm of the probability that a message is not chosen.
    ln_miss: f64,
    rng: Mutex<Rng>,
}

// === impl Chance ===

impl Chance {
    /// With that probability; what is no number is 0.
    pub(super) fn new(ratio: f64, rng: Rng) -> Self {
        if ratio >= 1.0 {
            Self::Always
        } else if ratio > 0.0 {
            Self::Sometimes(Countdown::new(ratio, rng))
        } else {
            Self::Never
        }
    }

    /// Which of the next `count` messages are chosen, in order. Costs what is chosen.
    pub(super) fn draw(&self, count: u32) -> Vec<u32> {
        match self {
            Self::Never => Vec::new(),
            Self::Always => (0..count).collect(),
            Self::Sometimes(countdown) if countdown.passes_over(count) => Vec::new(),
            Self::Sometimes(countdown) => countdown.draw(count),
        }
    }
}

// === impl Countdown ===

impl Countdown {
    fn new(ratio: f64, mut rng: Rng) -> Self {
        let ln_miss = (-ratio).ln_1p();
        Self {
            gap: AtomicU64::new(next_gap(&mut rng, ln_miss)),
            ln_miss,
            rng: Mutex::new(rng),
        }
    }

    /// Whether none of the next `count` is chosen; they are counted only if so.
    fn passes_over(&self, count: u32) -> bool {
        let left = |gap: u64| gap.checked_sub(u64::from(count));
        self.gap.fetch_update(Relaxed, Relaxed, left).is_ok()
    }

    #[cold]
    fn draw(&self, count: u32) -> Vec<u32> {
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        let mut gap = self.gap.load(Relaxed);
        loop {
            let (chosen, after) = self.walk(gap, count, &mut rng);
            // Others may pass over some meanwhile: then this choice never was.
            match self.gap.compare_exchange(gap, after, Relaxed, Relaxed) {
                Ok(_) => return chosen,
                Err(now) => gap = now,
            }
        }
    }

    /// Which of `count` messages are chosen if the first comes after `gap` others, and the
    /// gap that is left behind them.
    fn walk(&self, mut gap: u64, count: u32, rng: &mut Rng) -> (Vec<u32>, u64) {
        let count = u64::from(count);
        let mut chosen = Vec::new();
        let mut left = count;
        while gap < left {
            left -= gap + 1;
            chosen.extend(u32::try_from(count - left - 1));
            gap = next_gap(rng, self.ln_miss);
        }
        (chosen, gap - left)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "at least 0; what is too large becomes the largest number"
)]
fn next_gap(rng: &mut Rng, ln_miss: f64) -> u64 {
    let above_zero = 1.0 - rng.f64();
    (above_zero.ln() / ln_miss) as u64
}

#[cfg(test)]
mod tests {
    //! Statistics over seeds that are fixed.

    use super::*;

    fn drawn(ratio: f64, chunks: &[u32]) -> Vec<u64> {
        let chance = Chance::new(ratio, Rng::with_seed(7));
        let mut base = 0;
        let mut all = Vec::new();
        for &count in chunks {
            let chosen = chance.draw(count);
            all.extend(chosen.into_iter().map(|index| base + u64::from(index)));
            base += u64::from(count);
        }
        all
    }

    #[test]
    fn none_at_zero_and_all_at_one() {
        let none: [f64; 3] = [0.0, -1.0, f64::NAN];
        assert!(none.iter().all(|&ratio| drawn(ratio, &[1000]).is_empty()));
        assert_eq!(drawn(1.0, &[3, 2]), [0, 1, 2, 3, 4]);
        assert_eq!(drawn(7.0, &[2]), [0, 1]);
    }

    #[test]
    fn how_messages_are_cut_into_chunks_does_not_matter() {
        let whole = drawn(0.05, &[100_000]);
        assert_eq!(whole, drawn(0.05, &[1000; 100]));
        assert_eq!(whole, drawn(0.05, &vec![1; 100_000]));
        assert!(whole.is_sorted());
    }

    #[test]
    fn one_in_a_hundred_is_one_in_a_hundred() {
        let chosen = drawn(0.01, &vec![64; 15_625]);
        // A million messages: 10 000 expected, with a standard deviation of 99.5.
        assert!((9_600..=10_400).contains(&chosen.len()), "{}", chosen.len());
    }

    #[test]
    fn threads_share_the_choice() {
        let chance = Chance::new(0.01, Rng::with_seed(7));
        let draws = || (0..50_000).map(|_| chance.draw(5).len()).sum::<usize>();
        let chosen: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(draws)).collect();
            threads.into_iter().map(|t| t.join().unwrap()).sum()
        });
        assert!((9_500..=10_500).contains(&chosen), "{chosen}");
    }

    #[test]
    fn gaps_are_spread_as_independent_choices_spread_them() {
        let chosen = drawn(0.5, &[100_000]);
        let next_to_each_other = chosen.windows(2).filter(|w| w[1] == w[0] + 1).count();
        // Half of them: 25 000 expected, with a standard deviation of about 190.
        assert!((24_000..=26_000).contains(&next_to_each_other));
    }

    #[test]
    fn a_ratio_that_is_next_to_nothing_chooses_nothing_for_long() {
        assert!(drawn(1e-18, &[u32::MAX; 4]).is_empty());
    }
}
