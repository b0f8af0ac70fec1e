//! One row of the table of departures, from bytes to typed columns.

use std::sync::{Arc, OnceLock};

use csv::ByteRecord;
use towpath::producer::CsvRow;

use super::LATE_MINUTES;
use super::input::{self, MissingColumns};
use super::reference::{Airline, Airport, Plane};
use super::text::{Code, Stamp, TextError};

mod row;

use row::Row;

/// The columns a table of departures must have; others may stand between them.
pub const NAMES: [&str; 19] = [
    "year",
    "month",
    "day",
    "dep_time",
    "sched_dep_time",
    "dep_delay",
    "arr_time",
    "sched_arr_time",
    "arr_delay",
    "carrier",
    "flight",
    "tailnum",
    "origin",
    "dest",
    "air_time",
    "distance",
    "hour",
    "minute",
    "time_hour",
];

/// Where the columns of a file are.
#[derive(Debug, Clone)]
pub struct Columns {
    at: [usize; NAMES.len()],
    width: usize,
}

/// One departure as it was recorded; times of day are written HHMM, delays are minutes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    /// Year of departure.
    pub year: u16,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month.
    pub day: u8,
    /// When it left; `None` if it was cancelled.
    pub dep_time: Option<u16>,
    /// When it should have left.
    pub sched_dep_time: u16,
    /// Minutes it left late; negative if early.
    pub dep_delay: Option<i32>,
    /// When it arrived.
    pub arr_time: Option<u16>,
    /// When it should have arrived.
    pub sched_arr_time: u16,
    /// Minutes it arrived late; negative if early, `None` if it was diverted.
    pub arr_delay: Option<i32>,
    /// Code of the airline.
    pub carrier: Code,
    /// Number of the flight.
    pub flight: u32,
    /// Tail number of the plane.
    pub tailnum: Option<Code>,
    /// Code of the airport it left from.
    pub origin: Code,
    /// Code of the airport it flew to.
    pub dest: Code,
    /// Minutes in the air.
    pub air_time: Option<u32>,
    /// Miles.
    pub distance: u32,
    /// Hour of the scheduled departure.
    pub hour: u8,
    /// Minute of the scheduled departure.
    pub minute: u8,
    /// Scheduled departure to the hour, as date and time.
    pub time_hour: Stamp,
}

/// A departure with what the tables of reference know about it.
#[derive(Debug, Clone)]
pub struct Flight {
    /// The departure.
    pub departure: Departure,
    /// Its airline; `None` if the carrier is unknown.
    pub airline: Option<Arc<Airline>>,
    /// Its plane; `None` if the tail number is missing or unknown.
    pub plane: Option<Arc<Plane>>,
    /// Where it flew to.
    pub destination: Arc<Airport>,
}

/// Why a row is no departure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowError {
    /// The row is of a file that has not all the columns.
    #[error(transparent)]
    Columns(#[from] MissingColumns),
    /// The row is shorter or longer than the header.
    #[error("the row has {found} fields, the header {expected}")]
    Fields {
        /// As many as the header has.
        expected: usize,
        /// As many as the row has.
        found: usize,
    },
    /// A column that no departure goes without is empty or `NA`.
    #[error("column {column} has no value")]
    Missing {
        /// Name of the column.
        column: &'static str,
    },
    /// A number was expected.
    #[error("column {column}: `{value}` is not a whole number")]
    NotANumber {
        /// Name of the column.
        column: &'static str,
        /// What stands there; bytes that are no text are escaped.
        value: String,
    },
    /// The number means nothing in this column.
    #[error("column {column}: {value} is out of range")]
    OutOfRange {
        /// Name of the column.
        column: &'static str,
        /// What stands there.
        value: String,
    },
    /// The text cannot be taken.
    #[error("column {column} cannot be taken")]
    Text {
        /// Name of the column.
        column: &'static str,
        /// Too long, or no text at all.
        source: TextError,
    },
}

/// Reads the rows of a file; where its columns are is found with the first one.
pub fn decoder() -> impl Fn(&CsvRow) -> Result<Departure, RowError> + Send + Sync + 'static {
    let known = OnceLock::new();
    move |row| {
        let columns = if let Some(columns) = known.get() {
            columns
        } else {
            let columns = Columns::from_headers(row.headers())?;
            known.get_or_init(|| columns)
        };
        parse(row.record(), columns)
    }
}

/// Reads one row.
///
/// # Errors
/// Fails with the first column that cannot be read.
pub fn parse(record: &ByteRecord, columns: &Columns) -> Result<Departure, RowError> {
    let row = Row::new(record, columns)?;
    Ok(Departure {
        year: row.number(0)?,
        month: row.within(1, 1..=12)?,
        day: row.within(2, 1..=31)?,
        dep_time: row.clock_if_any(3)?,
        sched_dep_time: row.clock(4)?,
        dep_delay: row.number_if_any(5)?,
        arr_time: row.clock_if_any(6)?,
        sched_arr_time: row.clock(7)?,
        arr_delay: row.number_if_any(8)?,
        carrier: row.text(9)?,
        flight: row.number(10)?,
        tailnum: row.text_if_any(11)?,
        origin: row.text(12)?,
        dest: row.text(13)?,
        air_time: row.number_if_any(14)?,
        distance: row.number(15)?,
        hour: row.within(16, 0..=24)?,
        minute: row.within(17, 0..=59)?,
        time_hour: row.text(18)?,
    })
}

// === impl Columns ===

impl Columns {
    /// Finds the columns by their names.
    ///
    /// # Errors
    /// Fails with the names of all that are missing.
    pub fn from_headers(header: &ByteRecord) -> Result<Self, MissingColumns> {
        Ok(Self {
            at: input::locate(header, &NAMES)?,
            width: header.len(),
        })
    }
}

// === impl Departure ===

impl Departure {
    /// It never left.
    pub fn is_cancelled(&self) -> bool {
        self.dep_time.is_none()
    }
}

// === impl Flight ===

impl Flight {
    /// It arrived more than [`LATE_MINUTES`] after schedule.
    pub fn is_late(&self) -> bool {
        self.departure
            .arr_delay
            .is_some_and(|minutes| minutes > LATE_MINUTES)
    }

    /// Code of the airport it left from, by which batches are keyed.
    pub fn origin(&self) -> Code {
        self.departure.origin
    }
}

#[cfg(test)]
mod tests;
