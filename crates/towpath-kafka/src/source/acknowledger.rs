//! Parks what was given back, and commits all else.

use std::{fmt, mem, sync::Arc, time::Duration};

use towpath_core::{Acknowledger, BoxError, Outcome, Settled};
use towpath_producer::cumulative::{Cumulative, CumulativeToken};

use super::{
    commits::GroupCommits,
    group::Group,
    membership::Membership,
    parking::{Kept, Parked},
    run::Run,
};
use crate::lock::lock;

/// What [`KafkaSource`](super::KafkaSource) needs to settle a message, or to deliver it again.
#[derive(Debug)]
pub struct KafkaToken {
    place: CumulativeToken,
    /// The messages that came together with this one.
    run: Arc<Run>,
    /// Where it is among them; none once its outcome was told in vain: it may not come again.
    index: Option<usize>,
}

/// Tells the group how far everything is settled, and has delivered again what was given back.
pub struct KafkaAcknowledger {
    group: Arc<Group>,
    /// Nobody leaves the group before the last outcome is told.
    membership: Arc<Membership>,
    commits: Cumulative<GroupCommits>,
    /// On their way: kept here, should the way be cut off.
    told: Vec<(CumulativeToken, Outcome)>,
    /// As long as these are on their way, their partitions are held.
    runs: Vec<Arc<Run>>,
    parked: usize,
}

// === impl KafkaToken ===

impl KafkaToken {
    pub(super) fn new(place: CumulativeToken, run: Arc<Run>, index: usize) -> Self {
        let index = Some(index);
        Self { place, run, index }
    }

    fn told(place: CumulativeToken, run: Arc<Run>) -> Self {
        let index = None;
        Self { place, run, index }
    }
}

// === impl KafkaAcknowledger ===

impl KafkaAcknowledger {
    pub(super) fn new(group: Arc<Group>, membership: Arc<Membership>) -> Self {
        let commits = group.offsets.acknowledger(GroupCommits::new(group.clone()));
        Self {
            group,
            membership,
            commits,
            told: Vec::new(),
            runs: Vec::new(),
            parked: 0,
        }
    }

    fn sort(&mut self, token: KafkaToken, outcome: Outcome) {
        let KafkaToken { place, run, index } = token;
        let kept = index.and_then(|index| to_deliver_again(&run, index, &outcome));
        let Some((kept, after)) = kept else {
            return self.tell(place, run, outcome);
        };
        if let Err(place) = self.park(place, kept, after) {
            self.tell(place, run, outcome);
        }
    }

    /// Parks a message, unless its partition goes away or the source is at its end.
    fn park(
        &mut self,
        place: CumulativeToken,
        kept: Kept,
        after: Duration,
    ) -> Result<(), CumulativeToken> {
        let keeps = lock(&self.group.partitions).keeps(place.partition(), place.generation());
        let mut parking = lock(&self.group.parking);
        if !keeps || parking.is_closed() {
            return Err(place);
        }
        let options = &self.group.options;
        let pause = kept.pause(options.first_retry, options.max_retry);
        parking.park(Parked { place, kept }, after.max(pause));
        drop(parking);
        self.parked += 1;
        self.group.wake.notify_one();
        Ok(())
    }

    fn tell(&mut self, place: CumulativeToken, run: Arc<Run>, outcome: Outcome) {
        self.told.push((place, outcome));
        self.runs.push(run);
    }

    async fn settle_told(&mut self) -> Result<Settled, BoxError> {
        if self.told.is_empty() {
            return Ok(Settled::default());
        }
        let settled = self.commits.settle(&mut self.told).await?;
        self.runs.clear();
        Ok(settled)
    }
}

/// A message that was given back, and the pause that was asked for.
fn to_deliver_again(run: &Run, index: usize, outcome: &Outcome) -> Option<(Kept, Duration)> {
    let Outcome::Retry {
        after,
        attempts,
        trace,
    } = outcome
    else {
        return None;
    };
    let mut kept = run.keep(index)?;
    kept.tried(*attempts, trace.as_deref());
    Some((kept, *after))
}

impl Acknowledger for KafkaAcknowledger {
    type Token = KafkaToken;

    async fn settle(&mut self, run: &mut Vec<(KafkaToken, Outcome)>) -> Result<Settled, BoxError> {
        for (token, outcome) in run.drain(..) {
            self.sort(token, outcome);
        }
        let settled = self.settle_told().await;
        let left = self.told.drain(..).zip(self.runs.drain(..));
        let settled = settled.inspect_err(|_| {
            let back = |((place, outcome), run)| (KafkaToken::told(place, run), outcome);
            run.extend(left.map(back));
        })?;
        let parked = mem::take(&mut self.parked);
        Ok(settled.and(Settled::confirmed(parked)))
    }

    async fn close(&mut self) -> Result<(), BoxError> {
        Ok(self.membership.close().await?)
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
