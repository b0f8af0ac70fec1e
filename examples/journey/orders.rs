//! The orders, and a broker that is told what has become of them.

use std::ops::Range;

use towpath::core::{Acknowledger, Intake, Producer, Received, Settled};
use towpath::prelude::*;
use towpath::{Delivery, Origin};

use crate::told::Told;

/// Hands out the orders, and ends.
#[derive(Debug)]
pub(crate) struct Orders {
    waiting: Range<u64>,
    told: Told,
}

// === impl Orders ===

impl Orders {
    pub(crate) fn new(count: u64, told: Told) -> Self {
        Self {
            waiting: 0..count,
            told,
        }
    }
}

impl Producer for Orders {
    type Payload = u64;
    type Acknowledger = Told;

    async fn receive(&mut self, intake: &mut Intake<u64, u64>) -> Result<Received, BoxError> {
        while intake.room() > 0
            && let Some(order) = self.waiting.next()
        {
            let origin = Origin::default()
                .identified(format!("order-{order}"))
                .at(order);
            intake.push(Delivery::new(order, order).with_origin(origin));
        }
        Ok(if self.waiting.is_empty() {
            Received::End
        } else {
            Received::More
        })
    }

    fn acknowledger(&mut self) -> Option<Told> {
        Some(self.told.clone())
    }
}

impl Acknowledger for Told {
    type Token = u64;

    async fn settle(&mut self, run: &mut Vec<(u64, Outcome)>) -> Result<Settled, BoxError> {
        let count = run.len();
        for (order, outcome) in run.drain(..) {
            self.settled(order, outcome.word());
        }
        Ok(Settled::confirmed(count))
    }
}
