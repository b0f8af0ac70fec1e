//! A reader of the text format of Prometheus, made from its description alone.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
};

/// All series of a page.
#[derive(Debug, Default)]
pub(super) struct Page(BTreeMap<Series, Vec<Line>>);

/// A name with its labels, in their order; without `le`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) labels: Vec<(String, String)>,
}

/// A figure.
#[derive(Debug, PartialEq)]
pub(super) struct Line {
    /// Where the bucket ends, if it is one.
    pub(super) bound: Option<f64>,
    pub(super) value: String,
}

// === impl Page ===

impl Page {
    /// # Errors
    /// Says which line it does not understand, or which series stands there twice.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut page = Self::default();
        let figures = text.lines().filter(|line| !line.starts_with('#'));
        for line in figures.filter(|line| !line.is_empty()) {
            page.add(line)?;
        }
        Ok(page)
    }

    fn add(&mut self, text: &str) -> Result<(), String> {
        let (series, line) = read(text).ok_or_else(|| format!("{text:?} is no figure"))?;
        match self.0.entry(series) {
            Entry::Vacant(entry) => {
                entry.insert(vec![line]);
            }
            Entry::Occupied(mut entry) => {
                // The buckets of a histogram stand in order.
                let last = entry.get().last().and_then(|line| line.bound);
                let grows = last.zip(line.bound).is_some_and(|(last, now)| last < now);
                if !grows {
                    return Err(format!("{text:?} comes too late"));
                }
                entry.get_mut().push(line);
            }
        }
        Ok(())
    }

    /// Takes a series out.
    pub(super) fn take(&mut self, series: &Series) -> Vec<Line> {
        self.0.remove(series).unwrap_or_default()
    }

    /// One that has not been taken out.
    pub(super) fn any(&self) -> Option<&Series> {
        self.0.keys().next()
    }

    /// All figures of a name that carry these labels, and maybe others.
    pub(super) fn with(&self, name: &str, labels: &[(&str, &str)]) -> impl Iterator<Item = &Line> {
        let carries = move |series: &&Series| {
            let mut wanted = labels.iter();
            let is_there = |(name, value): &(&str, &str)| {
                let mut labels = series.labels.iter();
                labels.any(|label| label.0 == *name && label.1 == *value)
            };
            series.name == name && wanted.all(is_there)
        };
        let found = self.0.iter().filter(move |(series, _)| carries(series));
        found.flat_map(|(_, lines)| lines)
    }
}

// === impl Series ===

impl Series {
    /// A part of a histogram.
    pub(super) fn ending_in(&self, part: &str) -> Self {
        Self {
            name: format!("{}{part}", self.name),
            labels: self.labels.clone(),
        }
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels = self.labels.iter();
        let labels = labels.map(|(name, value)| format!("{name}={value:?}"));
        let labels: Vec<_> = labels.collect();
        write!(f, "{}{{{}}}", self.name, labels.join(","))
    }
}

// === impl Line ===

impl Line {
    pub(super) fn number(&self) -> f64 {
        self.value.parse().unwrap_or(f64::NAN)
    }
}

fn read(text: &str) -> Option<(Series, Line)> {
    let name_ends = text.find(['{', ' '])?;
    let (name, mut rest) = text.split_at(name_ends);
    let mut labels = Vec::new();
    let mut bound = None;
    let mut before = '{';
    while let Some(label) = rest.strip_prefix(before) {
        let (name, value) = label.split_once("=\"")?;
        let (value, behind) = unquoted(value)?;
        if name == "le" {
            bound = Some(value.parse().ok()?);
        } else {
            labels.push((name.to_owned(), value));
        }
        (before, rest) = (',', behind);
    }
    let rest = if before == ',' {
        rest.strip_prefix('}')?
    } else {
        rest
    };
    let value = rest.strip_prefix(' ')?.to_owned();
    value.parse::<f64>().ok()?;
    let name = name.to_owned();
    Some((Series { name, labels }, Line { bound, value }))
}

/// The text up to its quote, and what comes behind that.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let special = rest.find(['"', '\\'])?;
        value.push_str(&rest[..special]);
        let mut behind = rest[special..].chars();
        if behind.next() == Some('"') {
            return Some((value, behind.as_str()));
        }
        value.push(match behind.next()? {
            'n' => '\n',
            c @ ('\\' | '"') => c,
            _ => return None,
        });
        rest = behind.as_str();
    }
}
