//! Rows that are made as fast as they are wanted, for the contests of sinks.

use towpath::core::{Acknowledger, Intake, Producer, Received, Settled};
use towpath::{BoxError, Delivery, Origin, Outcome};

/// A row of three columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Its key.
    pub id: i64,
    /// Forty letters.
    pub customer: String,
    /// Any number.
    pub total: f64,
}

/// So many rows, in their order.
#[derive(Debug)]
pub struct Lines {
    next: u32,
    messages: u32,
    keys: u32,
    has_identities: bool,
}

/// Believes everything that it is told.
#[derive(Debug)]
pub struct Believer;

// === impl Line ===

impl Line {
    /// The row at this position, with one of so many keys.
    pub fn numbered(number: u32, keys: u32) -> Self {
        let id = number % keys.max(1);
        Self {
            id: id.into(),
            customer: format!("customer {id:031}"),
            total: f64::from(number) / 100.0,
        }
    }

    /// What a source would say that it is.
    pub fn identity(number: u32) -> String {
        format!("lines:{number}")
    }
}

// === impl Lines ===

impl Lines {
    /// So many rows; keys come again after `keys` of them.
    pub fn new(messages: u32, keys: u32) -> Self {
        Self {
            next: 0,
            messages,
            keys,
            has_identities: false,
        }
    }

    /// The same, and each message has an identity.
    #[must_use]
    pub fn identified(mut self) -> Self {
        self.has_identities = true;
        self
    }

    /// How many different keys there are.
    pub fn keys(&self) -> u32 {
        self.keys
    }

    fn delivery(&self, number: u32) -> Delivery<Line, u32> {
        let delivery = Delivery::new(Line::numbered(number, self.keys), number);
        if !self.has_identities {
            return delivery;
        }
        let origin = Origin::default().identified(Line::identity(number));
        delivery.with_origin(origin.at(number.into()))
    }
}

impl Producer for Lines {
    type Payload = Line;
    type Acknowledger = Believer;

    async fn receive(&mut self, intake: &mut Intake<Line, u32>) -> Result<Received, BoxError> {
        while intake.room() > 0 && self.next < self.messages {
            intake.push(self.delivery(self.next));
            self.next += 1;
        }
        Ok(if self.next == self.messages {
            Received::End
        } else {
            Received::More
        })
    }

    fn acknowledger(&mut self) -> Option<Believer> {
        Some(Believer)
    }
}

impl Acknowledger for Believer {
    type Token = u32;

    async fn settle(&mut self, run: &mut Vec<(u32, Outcome)>) -> Result<Settled, BoxError> {
        let told = run.len();
        run.clear();
        Ok(Settled::confirmed(told))
    }
}
