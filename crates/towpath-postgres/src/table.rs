//! Names of tables and columns, quoted so that no name can be anything but a name.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use towpath_options::Problems;

/// PostgreSQL cuts longer names off, in bytes.
const LONGEST_NAME: usize = 63;

/// The name of a table, in a schema or where the search path finds it.
///
/// Names are taken as they are, capital letters included: `Orders` is not the table that
/// `CREATE TABLE Orders` has made, which is called `orders`. A text is cut at its first dot;
/// a name that has a dot needs [`in_schema`](Self::in_schema). In options it is a text too, or
/// a table with `schema` and `name`.
///
/// ```
/// use towpath_postgres::Table;
///
/// assert_eq!(Table::new("sales.orders").to_string(), r#""sales"."orders""#);
/// assert_eq!(Table::new(r#"a"; DROP TABLE b"#).to_string(), r#""a""; DROP TABLE b""#);
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Table {
    schema: Option<String>,
    name: String,
}

// === impl Table ===

impl Table {
    /// A table by its name, with its schema and a dot before it where it has one.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        match name.split_once('.') {
            Some((schema, name)) => Self::in_schema(schema, name),
            None => Self { schema: None, name },
        }
    }

    /// A table in a schema; both may hold dots.
    pub fn in_schema(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            schema: Some(schema.into()),
            name: name.into(),
        }
    }

    /// The name without its schema.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The schema, where one was named.
    pub fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// Both as they are, for messages and traces: `sales.orders`.
    pub(crate) fn plain(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{schema}.{}", self.name),
            None => self.name.clone(),
        }
    }

    /// The name of something that belongs to the table: an index, a channel. Cut so that it
    /// stays a name; a sum of what was cut keeps it apart from others.
    pub(crate) fn belonging(&self, suffix: &str) -> String {
        let full = format!("{}{suffix}", self.name);
        shortened(&full)
    }

    pub(crate) fn check(&self, problems: &mut Problems, path: &str) {
        if let Some(schema) = &self.schema {
            check_name(problems, path, "the schema", schema);
        }
        check_name(problems, path, "the table", &self.name);
    }
}

/// As it stands in a statement: quoted.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{}.", quoted(schema))?;
        }
        f.write_str(&quoted(&self.name))
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.plain(), f)
    }
}

impl From<&str> for Table {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<String> for Table {
    fn from(name: String) -> Self {
        Self::new(name)
    }
}

impl<'de> Deserialize<'de> for Table {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(TableVisitor)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    schema: Option<String>,
    name: String,
}

struct TableVisitor;

impl<'de> Visitor<'de> for TableVisitor {
    type Value = Table;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a table, or a map with `schema` and `name`")
    }

    fn visit_str<E>(self, name: &str) -> Result<Table, E> {
        Ok(Table::new(name))
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Table, M::Error> {
        let Parts { schema, name } = Parts::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Table { schema, name })
    }
}

/// An identifier in double quotes.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Identifiers with commas between them.
pub(crate) fn quoted_list<S: AsRef<str>>(names: &[S]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| quoted(name.as_ref())).collect();
    quoted.join(", ")
}

/// Says what is wrong with a name, if anything is.
pub(crate) fn check_name(problems: &mut Problems, path: &str, what: &str, name: &str) {
    if name.is_empty() {
        problems.add(path, format!("{what} needs a name"));
    }
    if name.contains('\0') {
        problems.add(path, format!("the name of {what} holds a zero byte"));
    }
    if name.len() > LONGEST_NAME {
        problems.add(
            path,
            format!("the name of {what} is longer than {LONGEST_NAME} bytes"),
        );
    }
}

fn shortened(name: &str) -> String {
    if name.len() <= LONGEST_NAME {
        return name.to_owned();
    }
    let sum = format!("_{:016x}", fnv(name.as_bytes()));
    let mut end = LONGEST_NAME - sum.len();
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{sum}", &name[..end])
}

/// Fowler, Noll and Vo's sum: the same in every process and every build.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_a_name_whatever_it_holds() {
        let table = Table::in_schema(r#"a"b"#, "c.d; --");
        assert_eq!(table.to_string(), r#""a""b"."c.d; --""#);
        assert_eq!(quoted_list(&["a", "b\"c"]), r#""a", "b""c""#);
    }

    #[test]
    fn a_table_is_read_from_a_text_or_a_map() {
        let read = |text: &str| serde_json::from_str::<Table>(text).unwrap();
        assert_eq!(read(r#""orders""#), Table::new("orders"));
        let both = Table::in_schema("sales", "orders");
        assert_eq!(read(r#""sales.orders""#), both);
        assert_eq!(read(r#"{"schema": "sales", "name": "orders"}"#), both);
        assert_eq!(read(r#"{"name": "a.b"}"#).schema(), None);
    }

    #[test]
    fn names_that_postgres_would_refuse_or_cut_are_problems() {
        for bad in ["", "a\0b", &"x".repeat(64), ".orders"] {
            let mut problems = Problems::new();
            Table::new(bad).check(&mut problems, "table");
            let error = problems.into_result().unwrap_err();
            assert_eq!(error.problems()[0].path, "table", "{bad:?}");
        }
        let mut problems = Problems::new();
        Table::new("x".repeat(63)).check(&mut problems, "table");
        assert!(problems.is_empty());
    }

    #[test]
    fn what_belongs_to_a_table_has_a_name_of_its_own_that_is_not_cut() {
        let long = |last: &str| Table::new(format!("{}{last}", "ä".repeat(31)));
        let (one, other) = (
            long("1").belonging("_waiting"),
            long("2").belonging("_waiting"),
        );
        assert_ne!(one, other);
        assert!(one.len() <= 63);
        assert_eq!(
            Table::new("sales.jobs").belonging("_waiting"),
            "jobs_waiting"
        );
    }
}
