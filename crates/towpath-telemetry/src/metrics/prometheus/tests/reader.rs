//! A small reader of the text format, made from its description alone.

use std::{iter::Peekable, str::Chars};

use crate::metrics::Value;

/// A page as it was read.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) families: Vec<Read>,
}

/// A metric with its lines.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) help: String,
    pub(super) lines: Vec<Line>,
}

/// A line with a figure.
#[derive(Debug, Default)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) labels: Vec<(String, String)>,
    value: String,
}

impl Page {
    /// Reads a page; panics about one that is none.
    pub(super) fn parse(text: &str) -> Self {
        let mut page = Self::default();
        assert!(
            text.is_empty() || text.ends_with('\n'),
            "the last line has no end"
        );
        text.split_terminator('\n').for_each(|line| page.line(line));
        page
    }

    fn line(&mut self, line: &str) {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            assert!(
                self.families.iter().all(|known| known.name != name),
                "{name} twice"
            );
            let mut help = help.chars().peekable();
            let help = unescaped(&mut help, None);
            self.families.push(Read {
                name: name.to_owned(),
                help,
                ..Read::default()
            });
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let family = self.families.last_mut().unwrap();
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(family.name == name && family.kind.is_empty(), "{line}");
            family.kind = kind.to_owned();
        } else {
            let family = self.families.last_mut().unwrap();
            let line = Line::parse(line);
            assert!(line.name.starts_with(&family.name), "{line:?}");
            family.lines.push(line);
        }
    }
}

impl Line {
    /// Whether this figure stands in the line.
    pub(super) fn says(&self, value: &Value) -> bool {
        match value {
            Value::Count(count) => self.value.parse() == Ok(*count),
            Value::Number(number) => {
                let read: f64 = self.value.parse().unwrap();
                read.to_bits() == number.to_bits() || read.is_nan() && number.is_nan()
            }
            Value::Distribution { .. } => false,
        }
    }

    fn parse(line: &str) -> Self {
        let mut rest = line.chars().peekable();
        let name = word(&mut rest);
        let labels = labels(&mut rest);
        assert_eq!(rest.next(), Some(' '), "{line:?}");
        Self {
            name,
            labels,
            value: rest.collect(),
        }
    }
}

fn labels(rest: &mut Peekable<Chars<'_>>) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    if rest.next_if_eq(&'{').is_none() {
        return labels;
    }
    loop {
        let name = word(rest);
        assert_eq!((rest.next(), rest.next()), (Some('='), Some('"')));
        labels.push((name, unescaped(rest, Some('"'))));
        match rest.next() {
            Some(',') => {}
            Some('}') => return labels,
            other => panic!("{other:?} behind a label"),
        }
    }
}

fn word(rest: &mut Peekable<Chars<'_>>) -> String {
    let mut word = String::new();
    while let Some(c) = rest.next_if(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':')) {
        word.push(c);
    }
    assert!(
        word.starts_with(|c: char| !c.is_ascii_digit()),
        "{word:?} is no name"
    );
    word
}

/// Text up to its end, which is taken too.
fn unescaped(rest: &mut Peekable<Chars<'_>>, end: Option<char>) -> String {
    let mut text = String::new();
    loop {
        match rest.next() {
            c if c == end => return text,
            Some('\\') => text.push(match rest.next() {
                Some('n') => '\n',
                Some(c @ ('\\' | '"')) => c,
                other => panic!("{other:?} is not to be escaped"),
            }),
            Some(c) => text.push(c),
            None => panic!("{text:?} has no end"),
        }
    }
}
