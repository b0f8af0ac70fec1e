//! Times on the axis, and in words.

/// The fewest steps that an axis has.
const FEWEST_STEPS: u64 = 4;

/// The widest of 1, 2, 5, 10, 20, 50.. microseconds of which several fit into this time.
pub(super) fn step(length: u64) -> u64 {
    let tens = (0..15).map(|power| 10_u64.pow(power));
    let steps = tens.flat_map(|ten| [1, 2, 5].map(|digit| digit * ten));
    let fits = |step: &u64| step.saturating_mul(FEWEST_STEPS) <= length;
    steps.take_while(fits).last().unwrap_or(1)
}

/// A time in words, with two digits or more.
pub(super) fn words(micros: u64) -> String {
    let (value, unit) = match micros {
        0..1_000 => return format!("{micros} µs"),
        1_000..1_000_000 => (micros, "ms"),
        _ => (micros / 1_000, "s"),
    };
    match value {
        0..10_000 => format!("{}.{} {unit}", value / 1_000, value % 1_000 / 100),
        _ => format!("{} {unit}", value / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_between_four_and_ten_steps() {
        for length in [4, 7, 19, 20, 333, 1_000, 48_511, 9_999_999] {
            let steps = length / step(length);
            assert!((4..=10).contains(&steps), "{length}: {steps}");
        }
        assert_eq!(step(0), 1);
    }

    #[test]
    fn times_are_short() {
        let of = [0, 999, 1_000, 1_449, 41_060, 2_345_678, 61_000_000].map(words);
        let expected = [
            "0 µs", "999 µs", "1.0 ms", "1.4 ms", "41 ms", "2.3 s", "61 s",
        ];
        assert_eq!(of, expected);
    }
}
