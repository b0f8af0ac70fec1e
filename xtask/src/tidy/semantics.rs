//! Rule: each case in docs/semantics.md names a test, and the test exists.
//!
//! The document holds tables with the columns `case`, `what` and `test`; other tables are not
//! read. The last column names tests in backticks: `fn_name`, `module::fn_name` or
//! `file.rs::fn_name`.

use super::Violation;
use crate::markdown;
use crate::workspace::{TextFile, Workspace};

mod functions;

use functions::Functions;

const DOCUMENT: &str = "docs/semantics.md";
const CASE: &str = "case";
const TEST: &str = "test";

/// One case of a table.
#[derive(Debug)]
struct Row<'a> {
    line: usize,
    case: &'a str,
    tests: Vec<&'a str>,
}

pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    let Some(document) = workspace.file(DOCUMENT) else {
        return vec![Violation::new(DOCUMENT, 1, "the file is missing")];
    };
    let rows = rows(document);
    if rows.is_empty() {
        let message = "no table has rows and the columns `case` and `test`";
        return vec![Violation::new(DOCUMENT, 1, message)];
    }
    let functions = Functions::of(workspace);
    rows.iter()
        .flat_map(|row| check_row(&functions, row))
        .collect()
}

fn check_row(functions: &Functions<'_>, row: &Row<'_>) -> Vec<Violation> {
    if row.tests.is_empty() {
        let message = format!("case {} names no test", row.case);
        return vec![Violation::new(DOCUMENT, row.line, message)];
    }
    let problems = row.tests.iter().filter_map(|test| {
        let problem = functions.problem_with(test)?;
        Some(format!("case {}: {problem}", row.case))
    });
    problems
        .map(|message| Violation::new(DOCUMENT, row.line, message))
        .collect()
}

/// The rows of all tables that have both columns.
fn rows(document: &TextFile) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    let mut columns: Option<(usize, usize)> = None;
    let mut is_head = true;
    for (line, text) in markdown::prose(&document.text) {
        let Some(cells) = markdown::cells(text) else {
            is_head = true;
            continue;
        };
        if is_head {
            columns = position(&cells, CASE).zip(position(&cells, TEST));
        } else if let Some(columns) = columns.filter(|_| !markdown::is_rule(&cells)) {
            rows.push(row(line, &cells, columns));
        }
        is_head = false;
    }
    rows
}

fn position(cells: &[&str], title: &str) -> Option<usize> {
    cells
        .iter()
        .position(|cell| cell.eq_ignore_ascii_case(title))
}

fn row<'a>(line: usize, cells: &[&'a str], (case, test): (usize, usize)) -> Row<'a> {
    let cell = |at: usize| cells.get(at).copied().unwrap_or_default();
    Row {
        line,
        case: cell(case),
        tests: markdown::code_spans(cell(test)).collect(),
    }
}

#[cfg(test)]
mod tests;
