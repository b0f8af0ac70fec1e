//! The source under test, with an eye on what it does.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering::SeqCst},
};

use towpath::{
    BoxError,
    core::{Intake, Lag, Peer, Producer, Received, Redelivery, Settlement, Token},
};

use super::{Rule, SourceRule, suite::Verdict};
use crate::hold::lock;

/// Hands every call on to the source, and notes what it does.
pub(super) struct Watched<P> {
    inner: P,
    watch: Watch,
}

/// What was seen of a source. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Watch(Arc<Seen>);

#[derive(Default)]
struct Seen {
    calls: AtomicU64,
    wrong: Mutex<Option<String>>,
}

// === impl Watched ===

impl<P: Producer> Watched<P> {
    pub(super) fn new(inner: P) -> (Self, Watch) {
        let watch = Watch::default();
        let watched = Self {
            inner,
            watch: watch.clone(),
        };
        (watched, watch)
    }
}

impl<P: Producer> Producer for Watched<P> {
    type Payload = P::Payload;
    type Acknowledger = P::Acknowledger;

    async fn open(&mut self) -> Result<(), BoxError> {
        self.inner.open().await
    }

    async fn receive(
        &mut self,
        intake: &mut Intake<P::Payload, Token<P>>,
    ) -> Result<Received, BoxError> {
        self.watch.0.calls.fetch_add(1, SeqCst);
        let room = intake.room();
        let there = intake.len();
        let mut counting = Counting {
            watch: &self.watch,
            room,
            there,
            intake,
        };
        self.inner.receive(counting.intake_mut()).await
    }

    async fn drain(&mut self, intake: &mut Intake<P::Payload, Token<P>>) -> Result<(), BoxError> {
        self.inner.drain(intake).await
    }

    fn acknowledger(&mut self) -> Option<P::Acknowledger> {
        self.inner.acknowledger()
    }

    fn redelivery(&self) -> Redelivery {
        self.inner.redelivery()
    }

    fn peer(&self) -> Peer {
        self.inner.peer()
    }

    fn lag(&self) -> Option<Lag> {
        self.inner.lag()
    }

    fn settlement(&self) -> Settlement {
        self.inner.settlement()
    }
}

/// Looks at the end of a call, however it ends, how many were pushed.
struct Counting<'a, P, K> {
    watch: &'a Watch,
    room: usize,
    there: usize,
    intake: &'a mut Intake<P, K>,
}

impl<P, K> Counting<'_, P, K> {
    fn intake_mut(&mut self) -> &mut Intake<P, K> {
        self.intake
    }
}

impl<P, K> Drop for Counting<'_, P, K> {
    fn drop(&mut self) {
        let pushed = self.intake.len().saturating_sub(self.there);
        if pushed > self.room {
            let asked = self.room;
            let what = format!("{pushed} messages are pushed where {asked} were asked for");
            lock(&self.watch.0.wrong).get_or_insert(what);
        }
    }
}

// === impl Watch ===

impl Watch {
    /// How often the source was called.
    pub(super) fn calls(&self) -> u64 {
        self.0.calls.load(SeqCst)
    }

    /// What no source may do, whatever the rule on trial.
    pub(super) fn kept(&self) -> Verdict {
        match lock(&self.0.wrong).clone() {
            Some(what) => Err(Rule::from(SourceRule::Demand).broken(what)),
            None => Ok(()),
        }
    }
}
