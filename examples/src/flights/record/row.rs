//! Takes typed values out of the fields of one row, without allocating unless one is wrong.

use std::ops::RangeInclusive;

use csv::ByteRecord;

use super::{Columns, NAMES, RowError};
use crate::flights::text::Text;

/// More digits than any column needs, and few enough that an `i32` holds them.
const MOST_DIGITS: usize = 9;

/// A row as long as its header; columns go by their place in [`NAMES`].
pub(super) struct Row<'a> {
    record: &'a ByteRecord,
    columns: &'a Columns,
}

/// What is wrong with a number.
enum NumberError {
    NotANumber,
    OutOfRange,
}

// === impl Row ===

impl<'a> Row<'a> {
    pub(super) fn new(record: &'a ByteRecord, columns: &'a Columns) -> Result<Self, RowError> {
        if record.len() != columns.width {
            return Err(RowError::Fields {
                expected: columns.width,
                found: record.len(),
            });
        }
        Ok(Self { record, columns })
    }

    pub(super) fn number<T: TryFrom<i32>>(&self, column: usize) -> Result<T, RowError> {
        self.number_if_any(column)?.ok_or_else(|| missing(column))
    }

    pub(super) fn number_if_any<T: TryFrom<i32>>(
        &self,
        column: usize,
    ) -> Result<Option<T>, RowError> {
        let Some(field) = self.field(column) else {
            return Ok(None);
        };
        let number = integer(field)
            .and_then(|number| T::try_from(number).map_err(|_| NumberError::OutOfRange));
        match number {
            Ok(number) => Ok(Some(number)),
            Err(error) => Err(wrong(column, field, &error)),
        }
    }

    pub(super) fn within(&self, column: usize, range: RangeInclusive<u8>) -> Result<u8, RowError> {
        let number = self.number(column)?;
        if !range.contains(&number) {
            return Err(out_of_range(column, number.to_string()));
        }
        Ok(number)
    }

    pub(super) fn clock(&self, column: usize) -> Result<u16, RowError> {
        self.clock_if_any(column)?.ok_or_else(|| missing(column))
    }

    /// A time of day as HHMM; midnight may be 0 or 2400.
    pub(super) fn clock_if_any(&self, column: usize) -> Result<Option<u16>, RowError> {
        let time: Option<u16> = self.number_if_any(column)?;
        if let Some(time) = time.filter(|time| *time > 2400 || time % 100 > 59) {
            return Err(out_of_range(column, time.to_string()));
        }
        Ok(time)
    }

    pub(super) fn text<const N: usize>(&self, column: usize) -> Result<Text<N>, RowError> {
        self.text_if_any(column)?.ok_or_else(|| missing(column))
    }

    pub(super) fn text_if_any<const N: usize>(
        &self,
        column: usize,
    ) -> Result<Option<Text<N>>, RowError> {
        let text = self.field(column).map(Text::new).transpose();
        text.map_err(|source| RowError::Text {
            column: NAMES[column],
            source,
        })
    }

    /// The bytes of a field; `None` if it is empty or `NA`.
    fn field(&self, column: usize) -> Option<&'a [u8]> {
        let field = self.record.get(self.columns.at[column]);
        field.filter(|field| !matches!(*field, b"" | b"NA"))
    }
}

fn integer(field: &[u8]) -> Result<i32, NumberError> {
    let (negative, digits) = match field {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(NumberError::NotANumber);
    }
    if digits.len() > MOST_DIGITS {
        return Err(NumberError::OutOfRange);
    }
    let number = digits
        .iter()
        .fold(0, |number, digit| number * 10 + i32::from(digit - b'0'));
    Ok(if negative { -number } else { number })
}

#[cold]
fn missing(column: usize) -> RowError {
    RowError::Missing {
        column: NAMES[column],
    }
}

#[cold]
fn out_of_range(column: usize, value: String) -> RowError {
    RowError::OutOfRange {
        column: NAMES[column],
        value,
    }
}

#[cold]
fn wrong(column: usize, field: &[u8], error: &NumberError) -> RowError {
    let value = match std::str::from_utf8(field) {
        Ok(text) => text.to_owned(),
        Err(_) => field.escape_ascii().to_string(),
    };
    match error {
        NumberError::NotANumber => RowError::NotANumber {
            column: NAMES[column],
            value,
        },
        NumberError::OutOfRange => out_of_range(column, value),
    }
}
