//! The two tables: their columns, and what of a flight goes into each.

use rusqlite::{Statement, ToSql};

use super::record::Flight;

/// A table of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Every flight.
    Flights,
    /// The late ones again.
    Late,
}

/// Name and type of each column. The first [`KEY`] together name one departure.
const COLUMNS: [(&str, &str); 28] = [
    ("year", "INTEGER NOT NULL"),
    ("month", "INTEGER NOT NULL"),
    ("day", "INTEGER NOT NULL"),
    ("carrier", "TEXT NOT NULL"),
    ("flight", "INTEGER NOT NULL"),
    ("origin", "TEXT NOT NULL"),
    ("sched_dep_time", "INTEGER NOT NULL"),
    ("dep_time", "INTEGER"),
    ("dep_delay", "INTEGER"),
    ("arr_time", "INTEGER"),
    ("sched_arr_time", "INTEGER NOT NULL"),
    ("arr_delay", "INTEGER"),
    ("airline", "TEXT"),
    ("tailnum", "TEXT"),
    ("plane_manufacturer", "TEXT"),
    ("plane_model", "TEXT"),
    ("plane_year", "INTEGER"),
    ("plane_seats", "INTEGER"),
    ("dest", "TEXT NOT NULL"),
    ("dest_name", "TEXT NOT NULL"),
    ("dest_lat", "REAL NOT NULL"),
    ("dest_lon", "REAL NOT NULL"),
    ("dest_tzone", "TEXT"),
    ("air_time", "INTEGER"),
    ("distance", "INTEGER NOT NULL"),
    ("hour", "INTEGER NOT NULL"),
    ("minute", "INTEGER NOT NULL"),
    ("time_hour", "TEXT NOT NULL"),
];

const KEY: usize = 7;

// === impl Table ===

impl Table {
    /// Both tables.
    pub const ALL: [Self; 2] = [Self::Flights, Self::Late];

    /// Its name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flights => "flights",
            Self::Late => "late_flights",
        }
    }

    /// The statement that makes it, if it is not there.
    pub(super) fn create(self) -> String {
        let columns = COLUMNS.map(|(name, kind)| format!("{name} {kind}"));
        format!(
            "CREATE TABLE IF NOT EXISTS {} ({}, PRIMARY KEY ({})) STRICT, WITHOUT ROWID;",
            self.name(),
            columns.join(", "),
            names(KEY),
        )
    }

    /// The statement that puts one row in the place of an older one with the same key.
    pub(super) fn upsert(self) -> String {
        let places = vec!["?"; COLUMNS.len()].join(", ");
        format!(
            "INSERT OR REPLACE INTO {} ({}) VALUES ({places})",
            self.name(),
            names(COLUMNS.len()),
        )
    }
}

/// Gives the statement of [`Table::upsert`] its values, in the order of [`COLUMNS`].
pub(super) fn bind(statement: &mut Statement<'_>, flight: &Flight) -> rusqlite::Result<()> {
    let departure = &flight.departure;
    let (airline, plane) = (flight.airline.as_deref(), flight.plane.as_deref());
    let mut values = Values {
        statement,
        bound: 0,
    };
    values.bind(departure.year)?;
    values.bind(departure.month)?;
    values.bind(departure.day)?;
    values.bind(departure.carrier)?;
    values.bind(departure.flight)?;
    values.bind(departure.origin)?;
    values.bind(departure.sched_dep_time)?;
    values.bind(departure.dep_time)?;
    values.bind(departure.dep_delay)?;
    values.bind(departure.arr_time)?;
    values.bind(departure.sched_arr_time)?;
    values.bind(departure.arr_delay)?;
    values.bind(airline.map(|airline| airline.name.as_str()))?;
    values.bind(departure.tailnum)?;
    values.bind(plane.map(|plane| plane.manufacturer.as_str()))?;
    values.bind(plane.map(|plane| plane.model.as_str()))?;
    values.bind(plane.and_then(|plane| plane.year))?;
    values.bind(plane.map(|plane| plane.seats))?;
    values.bind(departure.dest)?;
    values.bind(flight.destination.name.as_str())?;
    values.bind(flight.destination.lat)?;
    values.bind(flight.destination.lon)?;
    values.bind(flight.destination.tzone.as_deref())?;
    values.bind(departure.air_time)?;
    values.bind(departure.distance)?;
    values.bind(departure.hour)?;
    values.bind(departure.minute)?;
    values.bind(departure.time_hour)
}

/// Binds one value after the other.
struct Values<'a, 'c> {
    statement: &'a mut Statement<'c>,
    bound: usize,
}

impl Values<'_, '_> {
    fn bind(&mut self, value: impl ToSql) -> rusqlite::Result<()> {
        self.bound += 1;
        self.statement.raw_bind_parameter(self.bound, value)
    }
}

fn names(count: usize) -> String {
    COLUMNS[..count]
        .iter()
        .map(|(name, _)| *name)
        .collect::<Vec<_>>()
        .join(", ")
}
