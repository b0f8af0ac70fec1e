//! What is run for each message.

use towpath_options::Problems;

/// What a sink does with its file.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// Run as the file is opened.
    pub(crate) setup: Vec<String>,
    /// Run for each message.
    pub(crate) statement: String,
    /// The table that remembers what was applied.
    pub(crate) applied: Option<String>,
}

/// A statement that inserts a row, or updates the one with the same key.
pub(crate) fn upsert(table: &str, columns: &[&str], keys: &[&str]) -> String {
    let list = |names: &[&str]| {
        names
            .iter()
            .map(|n| quoted(n))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let marks: Vec<_> = (1..=columns.len())
        .map(|place| format!("?{place}"))
        .collect();
    let others = columns.iter().filter(|column| !keys.contains(column));
    let updates: Vec<_> = others
        .map(|column| format!("{0} = excluded.{0}", quoted(column)))
        .collect();
    let then = if updates.is_empty() {
        "NOTHING".to_owned()
    } else {
        format!("UPDATE SET {}", updates.join(", "))
    };
    format!(
        "INSERT INTO {} ({}) VALUES ({}) ON CONFLICT ({}) DO {then}",
        quoted(table),
        list(columns),
        marks.join(", "),
        list(keys),
    )
}

/// Looks for problems of an upsert.
pub(crate) fn look(table: &str, columns: &[&str], keys: &[&str], problems: &mut Problems) {
    if table.is_empty() {
        problems.add("table", "is empty");
    }
    for (path, names) in [("columns", columns), ("key_columns", keys)] {
        if names.is_empty() {
            problems.add(path, "must name at least one");
        }
        for (place, name) in names.iter().enumerate() {
            if names[..place].contains(name) {
                problems.add(path, format!("names {name:?} twice"));
            }
        }
    }
    for key in keys.iter().filter(|key| !columns.contains(key)) {
        problems.add(
            "key_columns",
            format!("names {key:?}, which is none of the columns"),
        );
    }
}

/// A name as SQL has it, whatever is in it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
