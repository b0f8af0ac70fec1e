//! What is measured of a case: time in rounds, instructions, allocations.

pub mod allocations;
pub mod clock;
pub mod instructions;
pub mod machine;
pub mod rounds;

/// What is known of one case, per message.
#[derive(Debug, Clone, Copy, Default)]
pub struct Figures {
    /// Wall time in nanoseconds, median of the rounds.
    pub wall_ns: f64,
    /// CPU time of the whole process in nanoseconds; `None` where the system has no such clock.
    pub cpu_ns: Option<f64>,
    /// Instructions on one thread; `None` without valgrind.
    pub instructions: Option<f64>,
    /// Calls to the allocator on one thread.
    pub allocations: Option<f64>,
}

/// A run over a short and a long source: the difference leaves start-up out.
#[derive(Debug, Clone, Copy)]
pub struct Slope {
    /// Messages of the short run.
    pub short: u32,
    /// Messages of the long run.
    pub long: u32,
}

// === impl Slope ===

impl Slope {
    /// The cost of one message, given the cost of either run.
    pub fn per_message(self, short: u64, long: u64) -> f64 {
        approximate(long.saturating_sub(short)) / f64::from(self.long - self.short)
    }
}

/// The count as a float.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a run stay far below 2^52"
)]
pub fn approximate(count: u64) -> f64 {
    count as f64
}

/// The median; of an even number of values the upper one of the two in the middle.
///
/// `None` when there are none.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_ignores_one_outlier() {
        assert_eq!(median(vec![3.0, 900.0, 1.0]), Some(3.0));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn a_slope_leaves_the_start_up_out() {
        let slope = Slope {
            short: 1000,
            long: 3000,
        };
        assert!((slope.per_message(5_000_000 + 1000 * 7, 5_000_000 + 3000 * 7) - 7.0).abs() < 1e-9);
    }
}
