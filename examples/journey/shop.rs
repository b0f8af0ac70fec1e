//! The pipeline: three stages, a batch, a table, and a place for what is refused.

use std::future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::sleep;
use towpath::policy::HttpStatus;
use towpath::prelude::*;
use tracing::{Instrument, info, info_span};

use crate::orders::Orders;
use crate::told::Told;

const ORDERS: u64 = 4;
/// Hangs once, is told once that it is too much, and succeeds.
const TRIED: u64 = 0;
/// Is not known to the warehouse.
const UNKNOWN: u64 = 2;

/// A warehouse that can be asked for orders.
#[derive(Clone, Debug, Default)]
struct Warehouse {
    asked: Arc<AtomicU32>,
}

pub(crate) fn pipeline(told: &Told) -> Pipeline {
    let (source, began) = (Orders::new(ORDERS, told.clone()), told.clone());
    let parse = Processor::new("parse", move |order: u64| {
        began.began(order);
        async move { Ok::<_, BoxError>(order) }
    });
    let warehouse = Warehouse::default();
    let fetch = Processor::new("fetch", move |order| {
        let warehouse = warehouse.clone();
        async move { warehouse.fetch(order).await }
    });
    Flow::from(Source::new("orders", source))
        .process(parse)
        .process(
            // In order, so that the first order is the first of the batch, too.
            fetch
                .ordered(4)
                .retry(Retry::fixed(Duration::from_millis(40)).attempts(4))
                .rate_limit(RateLimit::per_second(20).burst(1))
                .timeout(Duration::from_millis(100)),
        )
        .process(Processor::new("price", price).ordered(4))
        .batch(Batcher::new("rows").max_messages(3))
        .sink(write("table", |_: Batch<u64>| async {
            sleep(Duration::from_millis(20)).await;
            Ok::<_, BoxError>(())
        }))
        .dead_letter(write("letters", |_: Batch<DeadLetter>| async {
            Ok::<_, BoxError>(())
        }))
        .named("journey")
}

// === impl Warehouse ===

impl Warehouse {
    async fn fetch(&self, order: u64) -> Result<u64, HttpStatus> {
        sleep(Duration::from_millis(10)).await;
        match (order, self.times_asked(order)) {
            (TRIED, 0) => future::pending().await,
            (TRIED, 1) => Err(HttpStatus(429)),
            (UNKNOWN, _) => Err(HttpStatus(404)),
            _ => Ok(order),
        }
    }

    /// How often the order that hangs was asked for before.
    fn times_asked(&self, order: u64) -> u32 {
        match order {
            TRIED => self.asked.fetch_add(1, Relaxed),
            _ => 0,
        }
    }
}

/// Span and log record are of our own: they are in the trace of the order.
async fn price(order: u64) -> Result<u64, BoxError> {
    sleep(Duration::from_millis(15))
        .instrument(info_span!("look up price", order))
        .await;
    info!(order, "price found");
    Ok(order)
}
