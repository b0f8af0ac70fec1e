//! The joined acknowledgement of a message that became several.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use super::{Header, Receipt, TRACED};
use crate::{Origin, Outcome, Reason, ledger::lock, trace::Journey};

/// A receipt being split. Each part is settled by itself; the whole when all parts are.
///
/// The worst outcome of the parts decides: retry over reject over done over drop.
/// Without any part the whole is dropped with the reason `empty`.
#[derive(Debug)]
pub struct Split {
    header: Arc<Header>,
    /// The number of the next part.
    next: AtomicU32,
}

/// What the receipts of a split are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Parts of the message: each has an identity of its own.
    Parts,
    /// The message itself, several times.
    Copies,
}

/// What the parts of a message share. Dropping the last part settles the whole.
#[derive(Debug)]
pub(super) struct Join {
    joint: Mutex<Joint>,
    traced: bool,
    kind: Kind,
}

#[derive(Debug)]
struct Joint {
    whole: Receipt,
    worst: Outcome,
    /// The attempts that a part has had in place: the most of any.
    extra: u32,
    abandoned: bool,
    /// The journeys of the parts, with their numbers in order, where the whole is traced.
    journeys: Vec<(u32, Arc<Journey>)>,
}

impl Split {
    pub(super) fn new(whole: Receipt, kind: Kind) -> Self {
        let traced = whole.is_traced();
        let joint = Joint {
            whole,
            worst: Outcome::Drop(Reason::new("empty")),
            extra: 0,
            abandoned: false,
            journeys: Vec::new(),
        };
        let joint = Mutex::new(joint);
        let join = Join {
            joint,
            traced,
            kind,
        };
        Self {
            header: Arc::new(Header::Joined(join)),
            next: AtomicU32::new(0),
        }
    }

    /// A receipt for one more part.
    pub fn part(&self) -> Receipt {
        let index = self.next.fetch_add(1, Relaxed);
        let is_traced = match &*self.header {
            Header::Joined(join) if join.traced => join.fork(index),
            _ => false,
        };
        Receipt {
            header: Some(self.header.clone()),
            index,
            marks: if is_traced { TRACED } else { 0 },
        }
    }

    /// Takes a part back that was not needed: it has no say in the outcome.
    pub fn take_back(&self, mut part: Receipt) {
        let own = part
            .header
            .as_ref()
            .is_some_and(|h| Arc::ptr_eq(h, &self.header));
        if own {
            part.marks |= super::SETTLED;
        }
    }
}

impl Join {
    pub(super) fn record(&self, outcome: Outcome, extra: u32, abandoned: bool) {
        let mut joint = lock(&self.joint);
        joint.extra = joint.extra.max(extra);
        let first_drop = matches!(&joint.worst, Outcome::Drop(r) if r.as_str() == "empty");
        if first_drop || outcome.severity() > joint.worst.severity() {
            joint.worst = outcome;
        }
        joint.abandoned |= abandoned;
    }

    pub(super) fn with_parent<R>(&self, read: impl FnOnce(&Receipt) -> R) -> R {
        read(&lock(&self.joint).whole)
    }
}

impl Join {
    /// Begins the journey of a part, where the whole has one.
    fn fork(&self, index: u32) -> bool {
        let whole = self.with_parent(Receipt::journey);
        let part = whole.map(|whole| (index, whole.fork()));
        let is_traced = part.is_some();
        lock(&self.joint).journeys.extend(part);
        is_traced
    }

    pub(super) fn journey(&self, index: u32) -> Option<Arc<Journey>> {
        let joint = lock(&self.joint);
        let found = joint.journeys.binary_search_by_key(&index, |part| part.0);
        found.ok().map(|place| joint.journeys[place].1.clone())
    }

    /// Where a part came from: from the whole, with an identity of its own.
    pub(super) fn origin(&self, index: u32) -> Origin {
        let origin = self.with_parent(Receipt::origin);
        match self.kind {
            Kind::Parts => origin.part(index),
            Kind::Copies => origin,
        }
    }
}

impl Drop for Joint {
    fn drop(&mut self) {
        let worst = std::mem::replace(&mut self.worst, Outcome::Done);
        self.whole.add_attempts(self.extra);
        self.whole.finish(worst, self.abandoned);
    }
}
