//! Reads variables, and remembers what is wrong with them.

use std::time::Duration;

use crate::otlp::{Problem, SetupError};

/// The value of a variable, if it has one.
pub(in crate::otlp) type Lookup = dyn Fn(&str) -> Option<String>;

/// Reads variables, and remembers what is wrong with them.
pub(in crate::otlp) struct Variables<'a> {
    lookup: &'a Lookup,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

// === impl Variables ===

impl<'a> Variables<'a> {
    pub(in crate::otlp) fn new(lookup: &'a Lookup) -> Self {
        Self {
            lookup,
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// The value of a variable; an empty one is none.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let value = (self.lookup)(name)?.trim().to_owned();
        (!value.is_empty()).then_some(value)
    }

    /// The first of the variables that has a value, and that value.
    pub(super) fn first(&self, names: &[String]) -> Option<(String, String)> {
        names
            .iter()
            .find_map(|name| Some((name.clone(), self.text(name)?)))
    }

    /// The first of the variables that has a value, read; a value that cannot be read is a
    /// problem.
    pub(super) fn read<T>(
        &mut self,
        names: &[String],
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let (name, value) = self.first(names)?;
        let read = parse(&value);
        if read.is_none() {
            self.problem(name, value, expected);
        }
        read
    }

    /// True for `true`, in whatever case.
    pub(super) fn flag(&mut self, name: &str) -> bool {
        let parse = |value: &str| value.to_ascii_lowercase().parse().ok();
        self.read(&[name.to_owned()], "`true` or `false`", parse)
            .unwrap_or(false)
    }

    pub(super) fn count(&mut self, name: &str) -> Option<usize> {
        let parse = |value: &str| value.parse().ok().filter(|count| *count > 0);
        self.read(&[name.to_owned()], "a whole number above 0", parse)
    }

    pub(super) fn millis(&mut self, name: &str) -> Option<Duration> {
        self.first_millis(&[name.to_owned()])
    }

    pub(super) fn first_millis(&mut self, names: &[String]) -> Option<Duration> {
        let parse = |value: &str| value.parse().ok().filter(|millis| *millis > 0);
        let expected = "a whole number of milliseconds above 0";
        self.read(names, expected, parse).map(Duration::from_millis)
    }

    pub(super) fn problem(
        &mut self,
        name: impl Into<String>,
        value: impl Into<String>,
        expected: impl Into<String>,
    ) {
        let problem = Problem {
            name: name.into(),
            value: value.into(),
            expected: expected.into(),
        };
        // One variable may be read for each signal.
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    pub(super) fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    /// The warnings, or all the problems.
    pub(super) fn finish(self) -> Result<Vec<String>, SetupError> {
        let Self {
            problems, warnings, ..
        } = self;
        if problems.is_empty() {
            return Ok(warnings);
        }
        Err(SetupError::Invalid { problems })
    }
}

/// Pairs `name=value`, with a comma between them; values may have `%20` and the like.
pub(super) fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let pairs = text.split(',').map(str::trim).filter(|p| !p.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let name = name.trim();
            (!name.is_empty()).then_some(())?;
            Some((name.to_owned(), percent_decoded(value.trim())?))
        })
        .collect()
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex(bytes.next()?)? * 16 + hex(bytes.next()?)?,
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}
