//! What a parameter of a statement is bound to.

use bytes::Bytes;
use rusqlite::{
    ToSql,
    types::{Null, ToSqlOutput, ValueRef},
};

use super::BindError;

/// A value of one of the kinds that SQLite knows.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Nothing.
    #[default]
    Null,
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Real(f64),
    /// A text.
    Text(String),
    /// Bytes.
    Blob(Bytes),
    /// A number that SQLite's 64 bits with a sign cannot hold: its row is rejected.
    TooLarge(u64),
}

macro_rules! from {
    ($($kind:ident: $($from:ty),+;)+) => {
        $($(impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$kind(value.into())
            }
        })+)+
    };
}

from! {
    Integer: i8, i16, i32, i64, u8, u16, u32, bool;
    Real: f32, f64;
    Text: String, &str, Box<str>;
    Blob: Bytes, Vec<u8>, Box<[u8]>;
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        i64::try_from(value).map_or(Self::TooLarge(value), Self::Integer)
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::from(value as u64)
    }
}

impl From<&String> for Value {
    fn from(value: &String) -> Self {
        Self::Text(value.clone())
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Blob(Bytes::copy_from_slice(value))
    }
}

/// `None` is null.
impl<V: Into<Value>> From<Option<V>> for Value {
    fn from(value: Option<V>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::from(Null),
            Self::Integer(value) => ToSqlOutput::from(*value),
            Self::Real(value) => ToSqlOutput::from(*value),
            Self::Text(value) => ToSqlOutput::Borrowed(ValueRef::Text(value.as_bytes())),
            Self::Blob(value) => ToSqlOutput::Borrowed(ValueRef::Blob(value)),
            Self::TooLarge(number) => {
                let error = BindError::TooLarge { number: *number };
                return Err(rusqlite::Error::ToSqlConversionFailure(error.into()));
            }
        })
    }
}
