//! What a numbered message holds, so that a damaged one is noticed.

use serde::{Deserialize, Serialize};

/// Longer than the numbers, and not all of one size.
const LONGEST: usize = 200;

/// A message, and a row of the table that it ends in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) number: u64,
    pub(crate) text: String,
}

// === impl Row ===

impl Row {
    /// The only row of this number in a run of this seed.
    pub(crate) fn new(seed: u64, number: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed ^ number.rotate_left(32));
        let length = random.usize(..=LONGEST);
        let text = std::iter::repeat_with(|| random.alphanumeric()).take(length);
        Self {
            number,
            text: text.collect(),
        }
    }

    pub(crate) fn encoded(&self) -> Vec<u8> {
        format!(r#"{{"number":{},"text":"{}"}}"#, self.number, self.text).into_bytes()
    }

    /// Whether it is what was sent.
    pub(crate) fn is_intact(&self, seed: u64) -> bool {
        *self == Self::new(seed, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_the_same_again_and_a_changed_one_is_noticed() {
        let row: Row = serde_json::from_slice(&Row::new(7, 300).encoded()).unwrap();
        assert!(row.is_intact(7));
        let other = Row::new(7, 301);
        assert!(
            !Row {
                number: 300,
                ..other
            }
            .is_intact(7)
        );
        assert!(!row.is_intact(8));
    }
}
