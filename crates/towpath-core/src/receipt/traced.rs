//! The journeys of the messages of a chunk that are traced.

use std::sync::Arc;

use super::{Header, Receipt, TRACED};
use crate::{
    Ledger,
    trace::{Begun, End, Journey, Span},
};

/// The journeys of a chunk, by the index of their message. Most chunks have none.
#[derive(Debug, Default)]
pub(super) struct Journeys(Vec<(u32, Arc<Journey>)>);

// === impl Journeys ===

impl Journeys {
    pub(super) fn new(begun: Vec<Begun>, ledger: &Arc<Ledger>) -> Self {
        let journey = |begun: Begun| (begun.index, Journey::new(begun.root, ledger.clone()));
        let mut journeys: Vec<_> = begun.into_iter().map(journey).collect();
        journeys.sort_by_key(|(index, _)| *index);
        Self(journeys)
    }

    pub(super) fn indices(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().map(|(index, _)| *index)
    }

    #[inline]
    pub(super) fn has(&self, index: u32) -> bool {
        !self.0.is_empty() && self.get(index).is_some()
    }

    fn get(&self, index: u32) -> Option<&Arc<Journey>> {
        let found = self.0.binary_search_by_key(&index, |(index, _)| *index);
        found.ok().map(|place| &self.0[place].1)
    }
}

// === impl Receipt ===

impl Receipt {
    /// Whether the message is traced.
    #[inline]
    pub fn is_traced(&self) -> bool {
        self.marks & TRACED != 0
    }

    /// The trace of the message; `None` where it is not traced.
    #[inline]
    pub fn journey(&self) -> Option<Arc<Journey>> {
        if self.is_traced() {
            self.find_journey()
        } else {
            None
        }
    }

    #[cold]
    fn find_journey(&self) -> Option<Arc<Journey>> {
        match self.header.as_deref()? {
            Header::Delivered(delivered) => delivered.journeys.get(self.index).cloned(),
            Header::Joined(join) => join.journey(self.index),
        }
    }
}

/// A source that wants no outcomes: the journey ends where it would be told.
pub(super) fn told_nobody(told: Option<Arc<dyn Span>>, ledger: &Ledger) {
    if let Some(told) = told {
        told.end(&End::Done, ledger.now());
    }
}
