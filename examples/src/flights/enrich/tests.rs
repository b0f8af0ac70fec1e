//! What is looked up, and how long it takes.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use tokio::time::Instant;

use super::*;
use crate::flights::record::{self, Columns};
use crate::flights::reference::{Airline, Airport, Plane};

const SEED: u64 = 1;

fn code(text: &str) -> Code {
    Code::new(text.as_bytes()).unwrap()
}

fn tables() -> Arc<Tables> {
    let mut tables = Tables::default();
    tables
        .airlines
        .insert(code("UA"), Arc::new(Airline::default()));
    tables.planes.insert(code("N1"), Arc::new(Plane::default()));
    tables
        .airports
        .insert(code("IAH"), Arc::new(Airport::default()));
    Arc::new(tables)
}

fn departure(carrier: &str, flight: u32, tailnum: &str, dest: &str) -> Departure {
    let row = format!(
        "2013,1,1,517,515,2,830,819,11,{carrier},{flight},{tailnum},EWR,{dest},227,1400,5,15,now"
    );
    let columns = Columns::from_headers(&csv::ByteRecord::from(&record::NAMES[..])).unwrap();
    let fields: Vec<_> = row.split(',').collect();
    record::parse(&csv::ByteRecord::from(fields), &columns).unwrap()
}

fn enricher(max: Duration) -> Enricher {
    Enricher::new(tables(), Latency::up_to(max, SEED))
}

#[tokio::test(start_paused = true)]
async fn everything_known_is_added() {
    let enricher = enricher(Duration::ZERO);
    let flight = enricher
        .lookup(departure("UA", 1, "N1", "IAH"))
        .await
        .unwrap();
    assert!(flight.airline.is_some() && flight.plane.is_some());
}

#[tokio::test(start_paused = true)]
async fn an_unknown_airline_or_plane_is_none_and_no_error() {
    let enricher = enricher(Duration::ZERO);
    for tailnum in ["N2", "NA"] {
        let flight = enricher
            .lookup(departure("XX", 1, tailnum, "IAH"))
            .await
            .unwrap();
        assert!(flight.airline.is_none() && flight.plane.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_destination_is_refused_by_name() {
    let enricher = enricher(Duration::ZERO);
    let error = enricher
        .lookup(departure("UA", 1, "N1", "SJU"))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "destination `SJU` is not in the table of airports"
    );
}

#[test]
fn without_latency_the_first_poll_answers() {
    // No runtime here: a timer would panic.
    let enricher = enricher(Duration::ZERO);
    let look_up = pin!(enricher.lookup(departure("UA", 1, "N1", "IAH")));
    assert!(
        look_up
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    );
}

#[tokio::test(start_paused = true)]
async fn a_lookup_takes_as_long_as_its_departure_says() {
    let enricher = enricher(Duration::from_millis(20));
    for flight in 0..50 {
        let departure = departure("UA", flight, "N1", "IAH");
        let expected = enricher.latency.of(&departure);
        let started = Instant::now();
        enricher.lookup(departure).await.unwrap();
        // The timer counts in whole milliseconds.
        let waited = started.elapsed();
        assert!(waited >= expected && waited <= expected + Duration::from_millis(2));
    }
}

#[test]
fn latencies_spread_over_the_whole_range_and_depend_on_the_seed() {
    let max = Duration::from_millis(20);
    let of = |seed, flight| Latency::up_to(max, seed).of(&departure("UA", flight, "N1", "IAH"));
    let delays: Vec<_> = (0..1000).map(|flight| of(SEED, flight)).collect();
    let mean = delays.iter().sum::<Duration>() / 1000;
    assert!(delays.iter().all(|delay| *delay < max));
    assert!(
        mean > max * 4 / 10 && mean < max * 6 / 10,
        "seed {SEED}: mean {mean:?}"
    );
    assert_ne!(of(SEED, 1), of(SEED + 1, 1));
}
