//! What spans say of errors.

use std::{
    error::Error,
    fmt::{self, Write as _},
};

/// How many bytes a description may have.
pub(super) const LIMIT: usize = 1024;

/// The error and its causes, outermost first, cut off where it grows too long.
pub(super) fn describe(error: &(dyn Error + 'static)) -> String {
    let mut text = Bounded(String::new());
    let mut next = Some(error);
    let mut between = "";
    while let Some(error) = next {
        // Fails when there is no room left, and not otherwise.
        if write!(text, "{between}{error}").is_err() {
            break;
        }
        between = ": ";
        next = error.source();
    }
    text.0
}

/// A text that takes no more than fits.
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let room = LIMIT - self.0.len();
        if more.len() <= room {
            self.0.push_str(more);
            return Ok(());
        }
        let fits = (0..=room).rev().find(|&end| more.is_char_boundary(end));
        self.0.push_str(&more[..fits.unwrap_or(0)]);
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    //! Chains, short and endless.

    use towpath_core::Permanent;

    use super::*;

    #[test]
    fn an_error_is_described_with_its_causes() {
        let error = Permanent::new("no such topic");
        assert_eq!(describe(&error), "the source cannot go on: no such topic");
    }

    #[test]
    fn a_description_is_cut_at_a_whole_character() {
        let error = Permanent::new("é".repeat(LIMIT));
        let text = describe(&error);
        assert!(text.len() == LIMIT || text.len() == LIMIT - 1);
        assert!(text.ends_with('é'));
    }
}
