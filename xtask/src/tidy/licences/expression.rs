//! Licence expressions as crates write them: SPDX, and the older `MIT/Apache-2.0`.

/// Whether the expression holds when each of its licences is judged by `suits`; `None` when it
/// is no expression.
pub(super) fn holds(expression: &str, suits: impl Fn(&str) -> bool) -> Option<bool> {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let mut words = Words {
        left: spaced.split_whitespace().collect(),
        suits: &suits,
    };
    words.left.reverse();
    let held = words.any()?;
    words.left.is_empty().then_some(held)
}

/// The words that are still to be read, the next one last.
struct Words<'a> {
    left: Vec<&'a str>,
    suits: &'a dyn Fn(&str) -> bool,
}

impl<'a> Words<'a> {
    fn any(&mut self) -> Option<bool> {
        let mut held = self.all()?;
        while self.skip("OR") {
            held |= self.all()?;
        }
        Some(held)
    }

    fn all(&mut self) -> Option<bool> {
        let mut held = self.one()?;
        while self.skip("AND") {
            held &= self.one()?;
        }
        Some(held)
    }

    fn one(&mut self) -> Option<bool> {
        if self.skip("(") {
            let held = self.any()?;
            return self.skip(")").then_some(held);
        }
        let licence = self.name()?;
        if self.skip("WITH") {
            let exception = self.name()?;
            return Some((self.suits)(&format!("{licence} WITH {exception}")));
        }
        Some((self.suits)(licence))
    }

    fn name(&mut self) -> Option<&'a str> {
        let is_name = |word: &&str| !matches!(*word, "OR" | "AND" | "WITH" | "(" | ")");
        self.left.pop().filter(is_name)
    }

    fn skip(&mut self, word: &str) -> bool {
        self.left.pop_if(|next| *next == word).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_good(expression: &str) -> Option<bool> {
        holds(expression, |licence| licence.starts_with("Good"))
    }

    #[test]
    fn one_licence_of_a_choice_is_enough_and_of_a_sum_all_are_needed() {
        assert_eq!(with_good("Bad OR Good"), Some(true));
        assert_eq!(with_good("Bad / Good"), Some(true));
        assert_eq!(with_good("Bad/Good"), Some(true));
        assert_eq!(with_good("Bad OR Worse"), Some(false));
        assert_eq!(with_good("Good AND Bad"), Some(false));
        assert_eq!(with_good("Good AND Good-too"), Some(true));
    }

    #[test]
    fn a_sum_binds_closer_than_a_choice_unless_there_are_brackets() {
        assert_eq!(with_good("Good OR Good AND Bad"), Some(true));
        assert_eq!(with_good("(Good OR Good) AND Bad"), Some(false));
        assert_eq!(with_good("(Bad OR Good) AND Good-too"), Some(true));
    }

    #[test]
    fn a_licence_with_an_exception_is_a_licence_of_its_own() {
        let only_this = |licence: &str| licence == "Good WITH exception";
        assert_eq!(holds("Good WITH exception", only_this), Some(true));
        assert_eq!(holds("Good", only_this), Some(false));
    }

    #[test]
    fn what_is_no_expression_is_neither_good_nor_bad() {
        for text in [
            "",
            "Good OR",
            "(Good",
            "Good)",
            "Good Good",
            "OR Good",
            "WITH",
        ] {
            assert_eq!(with_good(text), None, "{text}");
        }
    }
}
