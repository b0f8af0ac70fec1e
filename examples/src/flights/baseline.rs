//! The same job in one hand-written loop: one thread, no pipeline. What Towpath is measured by.
//!
//! It parses, enriches and writes with the same functions, batches of the same size keyed the
//! same way, and knows no latency, no concurrency, no progress and no signal.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use csv::ByteRecord;
use tokio::time::Instant;

use super::cli::Job;
use super::dead_letters::{DeadLetter, DeadLetters, Original};
use super::error::{FlightsError, chain};
use super::input::{InputError, Rows};
use super::record::{self, Columns, Flight};
use super::reference::Tables;
use super::schema::Table;
use super::store::{Store, StoreError};
use super::summary::{Finished, Stored, Summary};
use super::text::Code;
use super::{DECODE, ENRICH};

/// Does the whole job.
///
/// # Errors
/// Fails if it cannot start, or cannot write. If the file cannot be read to its end, what was read
/// is stored and the reason is in [`Finished::failure`].
pub fn run(job: &Job) -> Result<Finished, FlightsError> {
    let started = Instant::now();
    job.check()?;
    let mut rows = Rows::open(&job.input)?;
    let columns = Columns::from_headers(rows.header())
        .map_err(|missing| InputError::columns(&job.input, missing))?;
    let mut work = Work::open(job, rows.header().clone(), columns)?;
    let mut row = ByteRecord::new();
    let failure = loop {
        match rows.next(&mut row) {
            Ok(Some(line)) => work.row(line, &row)?,
            Ok(None) => break None,
            Err(error) => break Some(error.into()),
        }
    };
    let mut summary = work.finish()?;
    summary.complete = failure.is_none();
    summary.elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(Finished { summary, failure })
}

struct Work {
    header: ByteRecord,
    columns: Columns,
    tables: Arc<Tables>,
    letters: DeadLetters,
    flights: Batches,
    late: Batches,
    store: Store,
    stored: Stored,
    summary: Summary,
}

/// Rows of one table, gathered by origin.
struct Batches {
    table: Table,
    size: usize,
    open: BTreeMap<Code, Vec<Flight>>,
    rows: u64,
}

// === impl Work ===

impl Work {
    fn open(job: &Job, header: ByteRecord, columns: Columns) -> Result<Self, FlightsError> {
        let batches = |table| Batches {
            table,
            size: job.batch_size.get(),
            open: BTreeMap::new(),
            rows: 0,
        };
        Ok(Self {
            header,
            columns,
            tables: job.tables()?,
            store: Store::open(&job.database)?,
            letters: DeadLetters::create(&job.dead_letters)?,
            flights: batches(Table::Flights),
            late: batches(Table::Late),
            stored: Stored::default(),
            summary: Summary::default(),
        })
    }

    fn row(&mut self, line: u64, row: &ByteRecord) -> Result<(), FlightsError> {
        self.summary.read += 1;
        let departure = match record::parse(row, &self.columns) {
            Ok(departure) => departure,
            Err(error) => return self.reject(line, row, DECODE, &error),
        };
        if departure.is_cancelled() {
            self.summary.dropped += 1;
            return Ok(());
        }
        match self.tables.enrich(departure) {
            Ok(flight) => Ok(self.keep(flight)?),
            Err(error) => self.reject(line, row, ENRICH, &error),
        }
    }

    fn reject(
        &mut self,
        line: u64,
        row: &ByteRecord,
        stage: &str,
        error: &dyn Error,
    ) -> Result<(), FlightsError> {
        self.summary.rejected += 1;
        Ok(self.letters.write(&DeadLetter {
            line: Some(line),
            stage,
            cause: chain(error),
            attempts: 1,
            original: Some(Original {
                header: &self.header,
                row,
            }),
        })?)
    }

    fn keep(&mut self, flight: Flight) -> Result<(), StoreError> {
        if flight.is_late() {
            self.late
                .push(flight.clone(), &mut self.store, &mut self.stored)?;
        }
        self.flights
            .push(flight, &mut self.store, &mut self.stored)?;
        let in_flight = self.flights.rows;
        self.summary.in_flight_high_water = self.summary.in_flight_high_water.max(in_flight);
        Ok(())
    }

    fn finish(mut self) -> Result<Summary, FlightsError> {
        self.flights.flush(&mut self.store, &mut self.stored)?;
        self.late.flush(&mut self.store, &mut self.stored)?;
        self.letters.flush()?;
        self.summary.add(self.stored);
        Ok(self.summary)
    }
}

// === impl Batches ===

impl Batches {
    fn push(
        &mut self,
        flight: Flight,
        store: &mut Store,
        stored: &mut Stored,
    ) -> Result<(), StoreError> {
        let origin = flight.origin();
        let batch = self.open.entry(origin).or_default();
        batch.push(flight);
        self.rows += 1;
        if batch.len() < self.size {
            return Ok(());
        }
        let written = write(self.table, origin, batch, store, stored)?;
        self.rows -= written;
        Ok(())
    }

    fn flush(&mut self, store: &mut Store, stored: &mut Stored) -> Result<(), StoreError> {
        for (origin, batch) in &mut self.open {
            write(self.table, *origin, batch, store, stored)?;
        }
        Ok(())
    }
}

fn write(
    table: Table,
    origin: Code,
    batch: &mut Vec<Flight>,
    store: &mut Store,
    stored: &mut Stored,
) -> Result<u64, StoreError> {
    let written = store.write(table, batch.iter())? as u64;
    stored.add(table, origin, written);
    batch.clear();
    Ok(written)
}

#[cfg(test)]
mod tests;
