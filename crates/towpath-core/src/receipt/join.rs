//! The joined acknowledgement of a message that became several.

use std::sync::{Arc, Mutex};

use super::{Header, Receipt, TRACED};
use crate::{Outcome, Reason, ledger::lock, trace::Journey};

/// A receipt being split. Each part is settled by itself; the whole when all parts are.
///
/// The worst outcome of the parts decides: retry over reject over done over drop.
/// Without any part the whole is dropped with the reason `empty`.
#[derive(Debug)]
pub struct Split(Arc<Header>);

/// What the parts of a message share. Dropping the last part settles the whole.
#[derive(Debug)]
pub(super) struct Join {
    joint: Mutex<Joint>,
    traced: bool,
}

#[derive(Debug)]
struct Joint {
    whole: Receipt,
    worst: Outcome,
    /// The attempts that a part has had in place: the most of any.
    extra: u32,
    abandoned: bool,
    /// The journeys of the parts, by their index, where the whole is traced.
    journeys: Vec<Arc<Journey>>,
}

impl Split {
    pub(super) fn new(whole: Receipt) -> Self {
        let traced = whole.is_traced();
        let joint = Joint {
            whole,
            worst: Outcome::Drop(Reason::new("empty")),
            extra: 0,
            abandoned: false,
            journeys: Vec::new(),
        };
        let joint = Mutex::new(joint);
        Self(Arc::new(Header::Joined(Join { joint, traced })))
    }

    /// A receipt for one more part.
    pub fn part(&self) -> Receipt {
        let journey = match &*self.0 {
            Header::Joined(join) if join.traced => join.fork(),
            _ => None,
        };
        Receipt {
            header: Some(self.0.clone()),
            index: journey.unwrap_or(0),
            marks: if journey.is_some() { TRACED } else { 0 },
        }
    }

    /// Takes a part back that was not needed: it has no say in the outcome.
    pub fn take_back(&self, mut part: Receipt) {
        let own = part
            .header
            .as_ref()
            .is_some_and(|h| Arc::ptr_eq(h, &self.0));
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
    /// Begins the journey of a part; tells its index.
    fn fork(&self) -> Option<u32> {
        let whole = self.with_parent(Receipt::journey)?;
        let part = whole.fork();
        let mut joint = lock(&self.joint);
        joint.journeys.push(part);
        u32::try_from(joint.journeys.len() - 1).ok()
    }

    pub(super) fn journey(&self, index: u32) -> Option<Arc<Journey>> {
        lock(&self.joint).journeys.get(index as usize).cloned()
    }
}

impl Drop for Joint {
    fn drop(&mut self) {
        let worst = std::mem::replace(&mut self.worst, Outcome::Done);
        self.whole.add_attempts(self.extra);
        self.whole.finish(worst, self.abandoned);
    }
}
