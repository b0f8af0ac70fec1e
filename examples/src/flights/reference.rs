//! The tables that say more about a code: airlines, planes and airports.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use csv::ByteRecord;

use super::input::{self, InputError, Rows};
use super::text::Code;

/// All three tables, by code.
#[derive(Debug, Default)]
pub struct Tables {
    /// Airlines by carrier.
    pub airlines: HashMap<Code, Arc<Airline>>,
    /// Planes by tail number.
    pub planes: HashMap<Code, Arc<Plane>>,
    /// Airports by FAA code.
    pub airports: HashMap<Code, Arc<Airport>>,
}

/// An airline.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Airline {
    /// Its code.
    pub carrier: Code,
    /// Its name.
    pub name: String,
}

/// A plane.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plane {
    /// Its tail number.
    pub tailnum: Code,
    /// Year it was built, if known.
    pub year: Option<u16>,
    /// Who built it.
    pub manufacturer: String,
    /// Its model.
    pub model: String,
    /// How many it seats.
    pub seats: u16,
}

/// An airport.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Airport {
    /// Its code.
    pub faa: Code,
    /// Its name.
    pub name: String,
    /// Degrees north.
    pub lat: f64,
    /// Degrees east.
    pub lon: f64,
    /// Its time zone, if known.
    pub tzone: Option<String>,
}

/// Why a table cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The file cannot be read or lacks columns.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A value is missing or means nothing in its column.
    #[error("`{}` line {line}, column {column}: `{value}` cannot be used", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1 and with the header.
        line: u64,
        /// Name of the column.
        column: &'static str,
        /// What stands there; bytes that are no text are escaped.
        value: String,
    },
    /// A row is shorter or longer than the header.
    #[error("`{}` line {line}: the row has {found} fields, the header {expected}", path.display())]
    Fields {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1 and with the header.
        line: u64,
        /// As many as the header has.
        expected: usize,
        /// As many as the row has.
        found: usize,
    },
}

/// One row of a table, found by its code.
trait Entry: Sized {
    const COLUMNS: &'static [&'static str];

    fn from_row(row: &Row<'_>) -> Result<Self, TableError>;

    fn code(&self) -> Code;
}

/// A row as long as its header, and where it stands.
struct Row<'a> {
    path: &'a Path,
    line: u64,
    header: &'a ByteRecord,
    fields: &'a ByteRecord,
}

// === impl Tables ===

impl Tables {
    /// Reads the three files, plain or gzip.
    ///
    /// # Errors
    /// Fails with the file, and with line and column where a value is wrong.
    pub fn load(airlines: &Path, planes: &Path, airports: &Path) -> Result<Self, TableError> {
        Ok(Self {
            airlines: read(airlines)?,
            planes: read(planes)?,
            airports: read(airports)?,
        })
    }
}

fn read<T: Entry>(path: &Path) -> Result<HashMap<Code, Arc<T>>, TableError> {
    let mut rows = Rows::open(path)?;
    let header = rows.header().clone();
    input::require(&header, T::COLUMNS).map_err(|missing| InputError::columns(path, missing))?;
    let mut table = HashMap::new();
    let mut fields = ByteRecord::new();
    while let Some(line) = rows.next(&mut fields)? {
        let entry = T::from_row(&Row::new(path, line, &header, &fields)?)?;
        table.insert(entry.code(), Arc::new(entry));
    }
    Ok(table)
}

// === impl Row ===

impl<'a> Row<'a> {
    fn new(
        path: &'a Path,
        line: u64,
        header: &'a ByteRecord,
        fields: &'a ByteRecord,
    ) -> Result<Self, TableError> {
        if fields.len() != header.len() {
            return Err(TableError::Fields {
                path: path.to_owned(),
                line,
                expected: header.len(),
                found: fields.len(),
            });
        }
        Ok(Self {
            path,
            line,
            header,
            fields,
        })
    }

    fn value<T: FromStr>(&self, column: &'static str) -> Result<T, TableError> {
        let field = self.field(column);
        let text = std::str::from_utf8(field).ok();
        let value = text.and_then(|text| text.parse().ok());
        value.ok_or_else(|| TableError::Value {
            path: self.path.to_owned(),
            line: self.line,
            column,
            value: text.map_or_else(|| field.escape_ascii().to_string(), str::to_owned),
        })
    }

    fn value_if_any<T: FromStr>(&self, column: &'static str) -> Result<Option<T>, TableError> {
        match self.field(column) {
            b"" | b"NA" => Ok(None),
            _ => self.value(column).map(Some),
        }
    }

    /// The bytes of a field. That there is one was checked with the header and the length.
    fn field(&self, column: &str) -> &'a [u8] {
        let mut pairs = self.header.iter().zip(self.fields);
        let found = pairs.find(|(name, _)| *name == column.as_bytes());
        found.map_or(b"", |(_, field)| field)
    }
}

// === impl Entry ===

impl Entry for Airline {
    const COLUMNS: &'static [&'static str] = &["carrier", "name"];

    fn from_row(row: &Row<'_>) -> Result<Self, TableError> {
        Ok(Self {
            carrier: row.value("carrier")?,
            name: row.value("name")?,
        })
    }

    fn code(&self) -> Code {
        self.carrier
    }
}

impl Entry for Plane {
    const COLUMNS: &'static [&'static str] = &["tailnum", "year", "manufacturer", "model", "seats"];

    fn from_row(row: &Row<'_>) -> Result<Self, TableError> {
        Ok(Self {
            tailnum: row.value("tailnum")?,
            year: row.value_if_any("year")?,
            manufacturer: row.value("manufacturer")?,
            model: row.value("model")?,
            seats: row.value("seats")?,
        })
    }

    fn code(&self) -> Code {
        self.tailnum
    }
}

impl Entry for Airport {
    const COLUMNS: &'static [&'static str] = &["faa", "name", "lat", "lon", "tzone"];

    fn from_row(row: &Row<'_>) -> Result<Self, TableError> {
        Ok(Self {
            faa: row.value("faa")?,
            name: row.value("name")?,
            lat: row.value("lat")?,
            lon: row.value("lon")?,
            tzone: row.value_if_any("tzone")?,
        })
    }

    fn code(&self) -> Code {
        self.faa
    }
}

#[cfg(test)]
mod tests;
