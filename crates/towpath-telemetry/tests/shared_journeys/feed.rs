//! A source of numbers, each with headers: a topic of Kafka, as far as traces know.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use towpath::BoxError;
use towpath::core::{
    Acknowledger, Delivery, Headers, Intake, Origin, Outcome, Peer, Producer, Received, Settled,
};

/// Hands out 0, 1, 2.. with the identities `order-0`, `order-1`.., and ends.
#[derive(Debug)]
pub(crate) struct Feed {
    waiting: VecDeque<(u64, Headers)>,
    told: Told,
}

/// What the source was told, in that order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told(Arc<Mutex<Vec<(u64, &'static str)>>>);

impl Feed {
    pub(crate) fn new(count: u64) -> Self {
        Self::with_headers((0..count).map(|_| Headers::default()))
    }

    /// A message for each of these headers.
    pub(crate) fn with_headers(headers: impl IntoIterator<Item = Headers>) -> Self {
        Self {
            waiting: (0..).zip(headers).collect(),
            told: Told::default(),
        }
    }

    pub(crate) fn told(&self) -> Told {
        self.told.clone()
    }
}

impl Producer for Feed {
    type Payload = u64;
    type Acknowledger = Told;

    async fn receive(&mut self, intake: &mut Intake<u64, u64>) -> Result<Received, BoxError> {
        while intake.room() > 0
            && let Some((number, headers)) = self.waiting.pop_front()
        {
            let origin = Origin::default()
                .identified(format!("order-{number}"))
                .in_partition(3, 40 + number)
                .attempt(1)
                .headers(headers);
            intake.push(Delivery::new(number, number).with_origin(origin));
        }
        if self.waiting.is_empty() {
            return Ok(Received::End);
        }
        Ok(Received::More)
    }

    fn acknowledger(&mut self) -> Option<Told> {
        Some(self.told.clone())
    }

    fn peer(&self) -> Peer {
        Peer::new("kafka").destination("orders")
    }
}

impl Told {
    pub(crate) fn all(&self) -> Vec<(u64, &'static str)> {
        self.0.lock().unwrap().clone()
    }
}

impl Acknowledger for Told {
    type Token = u64;

    async fn settle(&mut self, run: &mut Vec<(u64, Outcome)>) -> Result<Settled, BoxError> {
        let told = run
            .drain(..)
            .map(|(number, outcome)| (number, outcome.word()));
        let mut all = self.0.lock().unwrap();
        let before = all.len();
        all.extend(told);
        Ok(Settled::confirmed(all.len() - before))
    }
}

/// The header of a sender whose span has that identity, sampled or not.
pub(crate) fn traceparent(trace: &str, span: &str, sampled: bool) -> (&'static str, String) {
    let flags = u8::from(sampled);
    ("traceparent", format!("00-{trace}-{span}-{flags:02}"))
}
