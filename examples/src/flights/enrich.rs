//! Looks up airline, plane and destination of a departure, as slowly as asked.

use std::sync::Arc;
use std::time::Duration;

use super::record::{Departure, Flight};
use super::reference::Tables;
use super::text::Code;

/// A look-up service with an artificial latency; clones share the tables.
#[derive(Debug, Clone)]
pub struct Enricher {
    tables: Arc<Tables>,
    latency: Latency,
}

/// A random delay that is the same for the same departure and seed.
#[derive(Debug, Clone, Copy)]
pub struct Latency {
    max: Duration,
    seed: u64,
}

/// The destination is in no table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("destination `{dest}` is not in the table of airports")]
pub struct UnknownAirport {
    /// Code of the destination.
    pub dest: Code,
}

// === impl Tables ===

impl Tables {
    /// Adds to a departure what the tables know.
    ///
    /// # Errors
    /// Fails if the destination is unknown. An unknown airline or plane is none.
    pub fn enrich(&self, departure: Departure) -> Result<Flight, UnknownAirport> {
        let dest = departure.dest;
        let destination = self.airports.get(&dest).ok_or(UnknownAirport { dest })?;
        let tailnum = departure.tailnum;
        Ok(Flight {
            destination: Arc::clone(destination),
            airline: self.airlines.get(&departure.carrier).cloned(),
            plane: tailnum.and_then(|tailnum| self.planes.get(&tailnum).cloned()),
            departure,
        })
    }
}

// === impl Enricher ===

impl Enricher {
    /// A service over these tables.
    pub fn new(tables: Arc<Tables>, latency: Latency) -> Self {
        Self { tables, latency }
    }

    /// Looks up one departure, after its latency. Without one it answers at the first poll.
    ///
    /// # Errors
    /// Fails if the destination is unknown.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed by a look-up.
    pub async fn lookup(&self, departure: Departure) -> Result<Flight, UnknownAirport> {
        let delay = self.latency.of(&departure);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        self.tables.enrich(departure)
    }
}

// === impl Latency ===

impl Latency {
    /// Between nothing and `max`, spread evenly by `seed`.
    pub fn up_to(max: Duration, seed: u64) -> Self {
        Self { max, seed }
    }

    /// The delay of this departure.
    pub fn of(&self, departure: &Departure) -> Duration {
        if self.max.is_zero() {
            return Duration::ZERO;
        }
        let parts = [
            u64::from(departure.day),
            u64::from(departure.flight),
            u64::from(departure.sched_dep_time),
        ];
        let random = parts
            .into_iter()
            .fold(mix(self.seed), |state, part| mix(state ^ part));
        // The upper 32 bits as a fraction of 2^32.
        let fraction = f64::from(u32::try_from(random >> 32).unwrap_or(u32::MAX)) / 2f64.powi(32);
        self.max.mul_f64(fraction)
    }
}

/// The finaliser of `SplitMix64`: every bit of the result depends on every bit of the input.
fn mix(state: u64) -> u64 {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

#[cfg(test)]
mod tests;
