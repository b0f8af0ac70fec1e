//! Rows as they go over the wire: encoded once, whatever becomes of them.

use std::{
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
};

use bytes::{BufMut as _, Bytes, BytesMut};
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};
use towpath_connector::outgoing;
use towpath_core::{Batch, BoxError, Headers, Origin, Panicked};

use crate::queue::written;

/// What stands for null where the length of a value stands.
const NULL: i32 = -1;
/// A value of this size or more does not go into one message.
const TOO_LONG: usize = i32::MAX as usize;

/// The row of a message: its values, in the order of the columns.
///
/// A value is encoded as the type of its column at once, so it need not live any longer. One
/// that does not fit rejects the message; the error names the column.
///
/// ```
/// use towpath_postgres::Row;
///
/// struct Order { id: i64, customer: String, note: Option<String> }
///
/// fn write(order: &Order, row: &mut Row<'_>) {
///     row.add(order.id).add(&order.customer).add(&order.note);
/// }
/// # let _ = write;
/// ```
#[derive(Debug)]
pub struct Row<'a> {
    columns: &'a Columns,
    at: usize,
    out: &'a mut BytesMut,
    error: Option<RowError>,
    origin: Option<&'a Origin>,
    headers: &'a Headers,
}

/// Writes the row of a message.
pub(super) type Write<T> = dyn Fn(&T, &mut Row<'_>) + Send + Sync;

/// The columns that rows are written to, or the parameters of a statement.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Columns {
    pub(super) names: Vec<String>,
    pub(super) types: Vec<Type>,
}

/// A message whose row could not be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum RowError {
    #[error("a value of type {value} does not go into column {column} of type {kind}")]
    WrongType {
        column: String,
        value: &'static str,
        kind: String,
    },
    #[error("the value for column {column} cannot be written")]
    Value { column: String, source: BoxError },
    #[error("the value for column {column} is written as text; only binary ones go over the wire")]
    Text { column: String },
    #[error("the row has {found} values for {expected} columns")]
    Count { found: usize, expected: usize },
    #[error("the row takes {size} bytes, and at most {most} are allowed")]
    TooLarge { size: usize, most: usize },
    #[error(transparent)]
    Panicked(Panicked),
}

/// The rows of a batch, as `COPY` takes them: the same bytes are the parameters of statements.
pub(super) struct Rows {
    bytes: Bytes,
    /// Where the row of each message is; `None` for one that could not be written.
    places: Vec<Option<Range<usize>>>,
}

/// One value of a row, encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Cell<'a>(Option<&'a [u8]>);

// === impl Row ===

impl Row<'_> {
    /// Adds the value of the next column.
    pub fn add<V: ToSql + Sync>(&mut self, value: V) -> &mut Self {
        self.add_dyn(&value, std::any::type_name::<V>())
    }

    /// Adds null as the value of the next column.
    pub fn add_null(&mut self) -> &mut Self {
        self.at += 1;
        self.out.put_i32(NULL);
        self
    }

    /// Where the message came from, if its source says.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin
    }

    /// Adds headers as the value of the next column: those `given`, and what should go along so
    /// that whoever reads the row goes on with the trace of the message and counts its
    /// attempts. As JSON, into a column of type `json`, `jsonb` or `text`; null where there are
    /// none.
    pub fn add_headers(&mut self, given: &Headers) -> &mut Self {
        match written(&given.updated(self.headers)) {
            Some(json) => self.add(Json(json)),
            None => self.add_null(),
        }
    }

    fn add_dyn(&mut self, value: &(dyn ToSql + Sync), name: &'static str) -> &mut Self {
        let at = self.at;
        self.at += 1;
        if self.error.is_none() && at < self.columns.types.len() {
            self.error = self.encode(at, value, name).err();
        }
        self
    }

    fn encode(
        &mut self,
        at: usize,
        value: &(dyn ToSql + Sync),
        name: &'static str,
    ) -> Result<(), RowError> {
        let kind = &self.columns.types[at];
        let column = || self.columns.names[at].clone();
        if !matches!(value.encode_format(kind), Format::Binary) {
            return Err(RowError::Text { column: column() });
        }
        let begin = self.out.len();
        self.out.put_i32(NULL);
        let written = value.to_sql_checked(kind, self.out);
        let is_null = written.map_err(|source| {
            if source.is::<tokio_postgres::types::WrongType>() {
                RowError::WrongType {
                    column: column(),
                    value: name,
                    kind: kind.to_string(),
                }
            } else {
                RowError::Value {
                    column: column(),
                    source,
                }
            }
        })?;
        if matches!(is_null, IsNull::No) {
            let size = self.out.len() - begin - 4;
            let length = i32::try_from(size).map_err(|_| RowError::TooLarge {
                size,
                most: TOO_LONG,
            })?;
            self.out[begin..begin + 4].copy_from_slice(&length.to_be_bytes());
        }
        Ok(())
    }

    fn end(self) -> Result<(), RowError> {
        let expected = self.columns.types.len();
        match self.error {
            Some(error) => Err(error),
            None if self.at != expected => Err(RowError::Count {
                found: self.at,
                expected,
            }),
            None => Ok(()),
        }
    }
}

// === impl RowError ===

impl RowError {
    /// What is said of the message: a panic is known as one.
    pub(super) fn into_cause(self) -> BoxError {
        match self {
            Self::Panicked(panic) => panic.into(),
            error => error.into(),
        }
    }
}

// === impl Rows ===

impl Rows {
    /// Encodes a batch; what cannot be encoded is told by its place.
    pub(super) fn encode<T>(
        batch: &Batch<T>,
        columns: &Columns,
        write: &Write<T>,
        most: usize,
    ) -> (Self, Vec<(usize, RowError)>) {
        let mut out = BytesMut::new();
        let mut failed = Vec::new();
        let encoded = batch.iter().enumerate().map(|(index, item)| {
            let begin = out.len();
            let headers = outgoing(batch, index, &Headers::default());
            let origin = batch.origin(index);
            let result = encode_one(item, columns, write, &mut out, origin, &headers);
            let size = out.len() - begin;
            let result = result.and_then(|()| match size {
                size if size > most => Err(RowError::TooLarge { size, most }),
                _ => Ok(()),
            });
            match result {
                Ok(()) => Some(begin..out.len()),
                Err(error) => {
                    out.truncate(begin);
                    failed.push((index, error));
                    None
                }
            }
        });
        let places = encoded.collect();
        let bytes = out.freeze();
        (Self { bytes, places }, failed)
    }

    /// The places of all rows that could be written.
    pub(super) fn all(&self) -> Vec<usize> {
        let places = self.places.iter().enumerate();
        places
            .filter_map(|(index, place)| place.is_some().then_some(index))
            .collect()
    }

    /// The row of this message is not to be written; whether it would have been.
    pub(super) fn leave_out(&mut self, row: usize) -> bool {
        self.places[row].take().is_some()
    }

    /// The bytes of these rows as `COPY` takes them; those that are neighbours stay together.
    pub(super) fn runs(&self, rows: &[usize]) -> Vec<Bytes> {
        let mut runs: Vec<Range<usize>> = Vec::new();
        for place in rows.iter().filter_map(|row| self.places[*row].clone()) {
            match runs.last_mut() {
                Some(run) if run.end == place.start => run.end = place.end,
                _ => runs.push(place),
            }
        }
        runs.into_iter().map(|run| self.bytes.slice(run)).collect()
    }

    /// The values of one row.
    pub(super) fn cells(&self, row: usize) -> Cells<'_> {
        let place = self.places[row].clone().unwrap_or_default();
        Cells {
            // Behind the number of columns.
            rest: self.bytes[place].get(2..).unwrap_or_default(),
        }
    }
}

fn encode_one<T>(
    item: &T,
    columns: &Columns,
    write: &Write<T>,
    out: &mut BytesMut,
    origin: Option<&Origin>,
    headers: &Headers,
) -> Result<(), RowError> {
    // A table has at most 1600 columns, a statement at most 65,535 parameters.
    let count = u16::try_from(columns.types.len()).unwrap_or(u16::MAX);
    out.put_u16(count);
    let mut row = Row {
        columns,
        at: 0,
        out,
        error: None,
        origin,
        headers,
    };
    // A row that panics is one message that fails, and not its batch.
    let caught = catch_unwind(AssertUnwindSafe(|| write(item, &mut row)));
    match caught {
        Ok(()) => row.end(),
        Err(panic) => Err(RowError::Panicked(Panicked::from_payload(panic))),
    }
}

/// The values of a row, one after the other.
pub(super) struct Cells<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Cells<'a> {
    type Item = Cell<'a>;

    fn next(&mut self) -> Option<Cell<'a>> {
        let (length, rest) = self.rest.split_first_chunk::<4>()?;
        let length = usize::try_from(i32::from_be_bytes(*length)).ok();
        let (value, rest) = rest.split_at(length.unwrap_or(0).min(rest.len()));
        self.rest = rest;
        Some(Cell(length.map(|_| value)))
    }
}

impl Cell<'_> {
    pub(super) fn is_null(&self) -> bool {
        self.0.is_none()
    }
}

/// It is encoded already, whatever its type.
impl ToSql for Cell<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        match self.0 {
            Some(bytes) => {
                out.put_slice(bytes);
                Ok(IsNull::No)
            }
            None => Ok(IsNull::Yes),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A text that is JSON.
#[derive(Debug)]
struct Json(String);

impl ToSql for Json {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        if *kind == Type::JSONB {
            // The version of the format.
            out.put_u8(1);
        }
        out.put_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::JSON | Type::JSONB | Type::TEXT | Type::VARCHAR)
    }

    to_sql_checked!();
}

#[cfg(test)]
mod tests;
