//! Parks what was given back, and commits all else.

use std::{fmt, mem, sync::Arc, time::Duration};

use towpath_core::{Acknowledger, BoxError, Headers, Outcome, Settled};
use towpath_producer::cumulative::{Cumulative, CumulativeToken};

use super::{
    commits::GroupCommits,
    group::Group,
    membership::Membership,
    parking::{Kept, Parked},
    partitions::InFlight,
};
use crate::lock::lock;

/// What [`KafkaSource`](super::KafkaSource) needs to settle a message, or to deliver it again.
#[derive(Debug)]
pub struct KafkaToken {
    place: CumulativeToken,
    state: State,
}

#[derive(Debug)]
enum State {
    /// May be delivered again.
    Kept { kept: Box<Kept>, counted: InFlight },
    /// Its outcome could not be told so far.
    Told { counted: InFlight },
}

/// Tells the group how far everything is settled, and has delivered again what was given back.
pub struct KafkaAcknowledger {
    group: Arc<Group>,
    /// Nobody leaves the group before the last outcome is told.
    _membership: Arc<Membership>,
    commits: Cumulative<GroupCommits>,
    /// On their way: kept here, should the way be cut off.
    told: Vec<(CumulativeToken, Outcome)>,
    /// As long as these are on their way, their partitions are held.
    counted: Vec<InFlight>,
    parked: usize,
}

// === impl KafkaToken ===

impl KafkaToken {
    pub(super) fn new(place: CumulativeToken, kept: Kept, counted: InFlight) -> Self {
        let kept = Box::new(kept);
        let state = State::Kept { kept, counted };
        Self { place, state }
    }

    fn told(place: CumulativeToken, counted: InFlight) -> Self {
        let state = State::Told { counted };
        Self { place, state }
    }
}

// === impl KafkaAcknowledger ===

impl KafkaAcknowledger {
    pub(super) fn new(group: Arc<Group>, membership: Arc<Membership>) -> Self {
        let commits = group.offsets.acknowledger(GroupCommits::new(group.clone()));
        Self {
            group,
            _membership: membership,
            commits,
            told: Vec::new(),
            counted: Vec::new(),
            parked: 0,
        }
    }

    fn sort(&mut self, token: KafkaToken, outcome: Outcome) {
        let KafkaToken { place, state } = token;
        let counted = match (state, &outcome) {
            (
                State::Kept { kept, counted },
                Outcome::Retry {
                    after,
                    attempts,
                    trace,
                },
            ) => match self.park(place, *kept, *after, *attempts, trace.as_deref()) {
                Ok(()) => return,
                Err(place) => return self.tell(place, counted, outcome),
            },
            (State::Kept { counted, .. } | State::Told { counted }, _) => counted,
        };
        self.tell(place, counted, outcome);
    }

    /// Parks a message, unless its partition goes away or the source is at its end.
    fn park(
        &mut self,
        place: CumulativeToken,
        mut kept: Kept,
        after: Duration,
        attempts: u32,
        trace: Option<&Headers>,
    ) -> Result<(), CumulativeToken> {
        let keeps = lock(&self.group.partitions).keeps(place.partition(), place.generation());
        let mut parking = lock(&self.group.parking);
        if !keeps || parking.is_closed() {
            return Err(place);
        }
        kept.tried(attempts, trace);
        let options = &self.group.options;
        let pause = kept.pause(options.first_retry, options.max_retry);
        let parked = Parked { place, kept };
        parking.park(parked, after.max(pause));
        drop(parking);
        self.parked += 1;
        self.group.wake.notify_one();
        Ok(())
    }

    fn tell(&mut self, place: CumulativeToken, counted: InFlight, outcome: Outcome) {
        self.told.push((place, outcome));
        self.counted.push(counted);
    }

    async fn settle_told(&mut self) -> Result<Settled, BoxError> {
        if self.told.is_empty() {
            return Ok(Settled::default());
        }
        let settled = self.commits.settle(&mut self.told).await?;
        self.counted.clear();
        Ok(settled)
    }
}

impl Acknowledger for KafkaAcknowledger {
    type Token = KafkaToken;

    async fn settle(&mut self, run: &mut Vec<(KafkaToken, Outcome)>) -> Result<Settled, BoxError> {
        for (token, outcome) in run.drain(..) {
            self.sort(token, outcome);
        }
        let settled = self.settle_told().await;
        let left = self.told.drain(..).zip(self.counted.drain(..));
        let settled = settled.inspect_err(|_| {
            let back = |((place, outcome), counted)| (KafkaToken::told(place, counted), outcome);
            run.extend(left.map(back));
        })?;
        let parked = mem::take(&mut self.parked);
        Ok(settled.and(Settled::confirmed(parked)))
    }
}

impl fmt::Debug for KafkaAcknowledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaAcknowledger")
            .field("commits", &self.commits)
            .field("told", &self.told.len())
            .finish_non_exhaustive()
    }
}
