//! Names of streams and consumers, and subjects: which of them NATS takes.

use towpath_options::Problems;

/// What would be several tokens, a wildcard or no word at all.
fn is_odd(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '*' | '>')
}

/// Whether a message can be published to the subject: tokens with dots between them, none
/// empty, and no wildcards.
pub(crate) fn is_subject(text: &str) -> bool {
    text.split('.')
        .all(|token| !token.is_empty() && !token.contains(is_odd))
}

/// Whether a subscription can be made to it: a subject that may have wildcards.
fn is_filter(text: &str) -> bool {
    let mut tokens = text.split('.').peekable();
    while let Some(token) = tokens.next() {
        let is_last = tokens.peek().is_none();
        let fits = match token {
            "*" => true,
            ">" => is_last,
            token => !token.is_empty() && !token.contains(is_odd),
        };
        if !fits {
            return false;
        }
    }
    true
}

/// The name of a stream or consumer.
pub(crate) fn check_name(problems: &mut Problems, path: &str, name: &str) {
    if name.is_empty() {
        problems.add(path, "must not be empty");
    } else if name.contains(|c| is_odd(c) || matches!(c, '.' | '/' | '\\')) {
        let message = format!("{name:?} must hold no white space, `.`, `*`, `>`, `/` or `\\`");
        problems.add(path, message);
    }
}

/// A subject without wildcards.
pub(crate) fn check_subject(problems: &mut Problems, path: &str, subject: &str) {
    if !is_subject(subject) {
        problems.add(
            path,
            format!("{subject:?} is no subject such as \"orders.new\""),
        );
    }
}

/// A subject that may have wildcards.
pub(crate) fn check_filter(problems: &mut Problems, path: &str, filter: &str) {
    if !is_filter(filter) {
        problems.add(
            path,
            format!("{filter:?} is no subject such as \"orders.*\""),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_words_with_dots_between() {
        for good in ["a", "orders.new", "$JS.ACK.1", "über.öl"] {
            assert!(is_subject(good) && is_filter(good), "{good}");
        }
        for bad in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "a b",
            "a.\tb",
            "a\r\nPUB b",
            "a.\0",
        ] {
            assert!(!is_subject(bad) && !is_filter(bad), "{bad:?}");
        }
    }

    #[test]
    fn only_a_filter_has_wildcards() {
        for wild in ["*", ">", "a.*", "a.*.b", "a.>"] {
            assert!(!is_subject(wild) && is_filter(wild), "{wild}");
        }
        for bad in ["a.>.b", "a*", "a.b>"] {
            assert!(!is_subject(bad) && !is_filter(bad), "{bad}");
        }
    }
}
