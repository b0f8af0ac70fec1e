//! What is wrong with options: all of it at once, each with its path.

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer};

/// The longest time that an option takes: ten years, so that no sum with the clock overflows.
pub const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// One thing that is wrong with options: where, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The path of the option, such as `retry.backoff.base`; empty for the options as a whole.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

/// Collects what is wrong with options, so that all of it is reported at once.
///
/// ```
/// use towpath_options::Problems;
///
/// let mut problems = Problems::new();
/// problems.within("retry", |retry| retry.add("attempts", "must be at least 1"));
/// let error = problems.into_result().unwrap_err();
/// assert_eq!(error.problems()[0].path, "retry.attempts");
/// ```
#[derive(Debug, Default)]
pub struct Problems {
    path: String,
    found: Vec<Problem>,
}

/// Options that cannot be used, with every problem there is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct InvalidOptions(Vec<Problem>);

/// Reads options of any format, and names the field when that fails.
///
/// Not every format says in its own errors which field it could not read: this does.
///
/// # Errors
/// Fails with the first value that cannot be read. Values that can be read but not used are
/// found later, all of them, when the policy is built.
pub fn read_options<'de, T, D>(deserializer: D) -> Result<T, InvalidOptions>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let path = match error.path().iter().next() {
            Some(_) => error.path().to_string(),
            None => String::new(),
        };
        InvalidOptions(vec![Problem::new(path, error.inner().to_string())])
    })
}

// === impl Problem ===

impl Problem {
    fn new(path: String, message: String) -> Self {
        Self { path, message }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            return f.write_str(&self.message);
        }
        write!(f, "{}: {}", self.path, self.message)
    }
}

// === impl Problems ===

impl Problems {
    /// Starts with none, at the root of the options.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what is wrong with the option `path`, counted from where this is; `""` is the whole.
    pub fn add(&mut self, path: &str, message: impl Into<String>) {
        let path = joined(&self.path, path);
        self.found.push(Problem::new(path, message.into()));
    }

    /// Looks at the options below `path`: what `look` adds is found there.
    pub fn within<R>(&mut self, path: &str, look: impl FnOnce(&mut Self) -> R) -> R {
        let inner = joined(&self.path, path);
        let outer = std::mem::replace(&mut self.path, inner);
        let result = look(self);
        self.path = outer;
        result
    }

    /// Whether nothing is wrong so far.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Turns what was found into an error.
    ///
    /// # Errors
    /// Fails when anything is wrong.
    pub fn into_result(self) -> Result<(), InvalidOptions> {
        if self.found.is_empty() {
            return Ok(());
        }
        Err(InvalidOptions(self.found))
    }

    /// Expects a time of more than zero, and of no more than ten years.
    pub fn expect_time(&mut self, path: &str, time: Duration) {
        if time.is_zero() {
            self.add(path, "must be more than 0s");
        }
        self.expect_sane(path, time);
    }

    /// Expects a time of no more than ten years; zero is fine.
    pub fn expect_sane(&mut self, path: &str, time: Duration) {
        if time > LONGEST {
            self.add(path, "must be at most 10 years");
        }
    }

    /// Expects a count of at least one.
    pub fn expect_some(&mut self, path: &str, count: impl Into<u64>) {
        if count.into() == 0 {
            self.add(path, "must be at least 1");
        }
    }

    /// Expects a number, and one from `low` to `high`, both included.
    pub fn expect_between(&mut self, path: &str, number: f64, low: f64, high: f64) {
        if !(low..=high).contains(&number) {
            self.add(path, format!("must be from {low} to {high}, not {number}"));
        }
    }
}

/// The path of `inner` below `outer`; an index such as `[2]` needs no dot.
fn joined(outer: &str, inner: &str) -> String {
    let dot = if outer.is_empty() || inner.is_empty() || inner.starts_with('[') {
        ""
    } else {
        "."
    };
    format!("{outer}{dot}{inner}")
}

// === impl InvalidOptions ===

impl InvalidOptions {
    /// What is wrong, in the order in which it was found; at least one.
    pub fn problems(&self) -> &[Problem] {
        &self.0
    }
}

impl fmt::Display for InvalidOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid options: ")?;
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}
