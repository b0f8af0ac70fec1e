//! The statements of each kind of target, and how many rows each takes.

use std::collections::VecDeque;

use tokio_postgres::Statement;

use crate::{
    Table,
    table::{quoted, quoted_list},
};

/// A statement has at most this many parameters: their number travels in 16 bits.
pub(super) const MOST_PARAMETERS: usize = 65_535;
/// How many statements of different lengths a connection keeps.
const MOST_KEPT: usize = 8;

/// Asks for the types of columns, without reading a row.
pub(super) fn describe(table: &Table, columns: &[String]) -> String {
    format!("SELECT {} FROM {table}", quoted_list(columns))
}

pub(super) fn copy(table: &Table, columns: &[String]) -> String {
    let columns = quoted_list(columns);
    format!("COPY {table} ({columns}) FROM STDIN (FORMAT binary)")
}

/// What follows the rows of an upsert: nothing is left to update where the key is all.
pub(super) fn on_conflict(columns: &[String], key: &[String]) -> String {
    let updated = columns.iter().filter(|column| !key.contains(column));
    let updated = updated.map(|column| {
        let column = quoted(column);
        format!("{column} = EXCLUDED.{column}")
    });
    let updated: Vec<_> = updated.collect();
    let key = quoted_list(key);
    if updated.is_empty() {
        return format!(" ON CONFLICT ({key}) DO NOTHING");
    }
    format!(" ON CONFLICT ({key}) DO UPDATE SET {}", updated.join(", "))
}

/// `INSERT` of so many rows.
pub(super) fn insert(table: &Table, columns: &[String], rows: usize, end: &str) -> String {
    let mut sql = format!("INSERT INTO {table} ({}) VALUES ", quoted_list(columns));
    let mut parameter = 0_usize;
    for row in 0..rows {
        sql.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..columns.len() {
            parameter += 1;
            sql.push_str(if column == 0 { "$" } else { ", $" });
            sql.push_str(&parameter.to_string());
        }
        sql.push(')');
    }
    sql.push_str(end);
    sql
}

/// How many rows of so many columns one statement takes.
pub(super) fn rows_per_statement(columns: usize) -> usize {
    (MOST_PARAMETERS / columns.max(1)).max(1)
}

/// Prepared statements by the number of their rows: those that were used twice lately.
#[derive(Debug, Default)]
pub(super) struct Kept {
    prepared: VecDeque<(usize, Statement)>,
    seen: VecDeque<usize>,
}

impl Kept {
    /// A statement of so many rows, where one is kept.
    pub(super) fn get(&self, rows: usize) -> Option<Statement> {
        let mut kept = self.prepared.iter();
        let found = kept.find(|(count, _)| *count == rows);
        found.map(|(_, statement)| statement.clone())
    }

    /// Whether it pays to keep one: batches of that size come again.
    pub(super) fn is_wanted(&mut self, rows: usize) -> bool {
        if self.prepared.iter().any(|(count, _)| *count == rows) {
            return false;
        }
        if self.seen.contains(&rows) {
            return true;
        }
        self.seen.push_back(rows);
        if self.seen.len() > MOST_KEPT {
            self.seen.pop_front();
        }
        false
    }

    pub(super) fn keep(&mut self, rows: usize, statement: Statement) {
        if self.prepared.len() == MOST_KEPT {
            self.prepared.pop_front();
        }
        self.prepared.push_back((rows, statement));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn statements_name_everything_in_quotes() {
        let (table, columns) = (Table::new("s.t"), names(&["id", "na\"me"]));
        assert_eq!(
            insert(&table, &columns, 2, ";"),
            r#"INSERT INTO "s"."t" ("id", "na""me") VALUES ($1, $2), ($3, $4);"#
        );
        assert_eq!(
            on_conflict(&columns, &columns[..1]),
            r#" ON CONFLICT ("id") DO UPDATE SET "na""me" = EXCLUDED."na""me""#
        );
        assert_eq!(
            on_conflict(&columns, &columns),
            r#" ON CONFLICT ("id", "na""me") DO NOTHING"#
        );
        assert_eq!(
            copy(&table, &columns),
            r#"COPY "s"."t" ("id", "na""me") FROM STDIN (FORMAT binary)"#
        );
    }

    #[test]
    fn no_statement_has_more_parameters_than_the_protocol_counts() {
        for (columns, rows) in [(1, 65_535), (7, 9_362), (100, 655), (1_600, 40)] {
            assert_eq!(rows_per_statement(columns), rows);
            assert!(rows * columns <= MOST_PARAMETERS);
            assert!((rows + 1) * columns > MOST_PARAMETERS);
        }
        assert_eq!(rows_per_statement(0), MOST_PARAMETERS);
    }

    #[test]
    fn a_length_is_worth_keeping_when_it_comes_again() {
        let mut kept = Kept::default();
        assert!(!kept.is_wanted(500));
        for odd in 1..=7 {
            assert!(!kept.is_wanted(odd));
        }
        assert!(kept.is_wanted(500));
        // Long ago is as good as never.
        assert!(!kept.is_wanted(8));
        assert!(!kept.is_wanted(500));
    }
}
