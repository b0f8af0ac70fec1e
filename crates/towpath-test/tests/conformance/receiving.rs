//! The source of the queue in memory, as it should be, and in all ways that are broken.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use towpath::{
    BoxError, Delivery, Headers, Origin, Outcome,
    core::{Acknowledger, Intake, Producer, Received, Redelivery, Settled},
};
use towpath_connector::{Held, Leases, attempt_of};
use towpath_test::conformance::Parcel;

use crate::{
    broker::{Broker, BrokerError, Key, LEASE, Lent, Place},
    faults::SourceFault,
    rig::SECRET,
};

/// How many more are claimed or pushed where that is the mistake.
const MORE: usize = 5;

pub(crate) struct MemorySource {
    broker: Broker,
    place: String,
    member: usize,
    fault: Option<SourceFault>,
    leases: Leases<Key>,
    /// Claimed and not asked for.
    kept: Vec<Lent>,
    was_lost: bool,
}

pub(crate) struct MemoryAcknowledger {
    broker: Broker,
    place: String,
    fault: Option<SourceFault>,
    leases: Leases<Key>,
}

type Token = Held<Key>;

// === impl MemorySource ===

impl MemorySource {
    pub(crate) fn new(
        broker: Broker,
        place: &str,
        member: usize,
        fault: Option<SourceFault>,
    ) -> Self {
        Self {
            broker,
            place: place.to_owned(),
            member,
            fault,
            leases: Leases::new(Duration::from_secs(3600)),
            kept: Vec::new(),
            was_lost: false,
        }
    }

    fn has(&self, fault: SourceFault) -> bool {
        self.fault == Some(fault)
    }

    async fn claim(&mut self, room: usize) -> Result<Vec<Lent>, BrokerError> {
        let room = match self.fault {
            Some(SourceFault::ClaimsMore | SourceFault::PushesMore) => room + MORE,
            Some(SourceFault::StarvesOthers) if self.member > 0 => 0,
            _ => room,
        };
        let fault = self.fault;
        let claim = |place: &mut Place| {
            let lent = place.lend(room, fault == Some(SourceFault::LastFirst));
            for Lent { key, .. } in &lent {
                match fault {
                    Some(SourceFault::AcksEarly) => drop(place.messages.remove(&key.id)),
                    Some(SourceFault::ClaimsNothing) => {
                        let due = Instant::now() + LEASE / 400;
                        place.messages.entry(key.id).and_modify(|m| {
                            m.lent = None;
                            m.due = due;
                        });
                    }
                    _ => {}
                }
            }
            lent
        };
        self.broker.call(&self.place, claim).await
    }

    fn push(&self, lent: Lent, intake: &mut Intake<Parcel, Token>) {
        let headers: Headers = match self.fault {
            Some(SourceFault::IgnoresHeaders) => Headers::default(),
            _ => lent.parcel.headers.iter().cloned().collect(),
        };
        let attempt = match self.fault {
            Some(SourceFault::CountsNothing) => 1,
            Some(SourceFault::IgnoresAttemptHeader) => lent.key.delivery,
            _ => attempt_of(&headers, lent.key.delivery),
        };
        let identity = match self.fault {
            Some(SourceFault::NewIdentities) => format!("{:?}", lent.key),
            _ => lent.key.id.to_string(),
        };
        let origin = Origin::default()
            .at(lent.key.id)
            .identified(identity)
            .attempt(attempt)
            .headers(headers);
        let mut parcel = lent.parcel;
        if self.has(SourceFault::ReadsText) {
            parcel.payload = String::from_utf8_lossy(&parcel.payload).into_owned().into();
        }
        if self.has(SourceFault::SkipsEmpty) && parcel.payload.is_empty() {
            return;
        }
        let token = self.leases.hold(lent.key);
        intake.push(Delivery::new(parcel, token).with_origin(origin));
    }

    /// What the mistakes make of an error of the server.
    async fn lost(&mut self, error: BrokerError) -> Result<(), BoxError> {
        self.was_lost = true;
        match (self.fault, error) {
            (Some(SourceFault::NeverNotices), BrokerError::Refused | BrokerError::NoAnswer) => {
                self.wait_for_server().await;
                Ok(())
            }
            (Some(SourceFault::SpinsWhenLost), BrokerError::Refused) => {
                // The engine would wait longer and longer.
                sleep(Duration::from_millis(10)).await;
                Ok(())
            }
            (Some(SourceFault::MakesPlaces), BrokerError::NoPlace(place)) => {
                let make = |state: &mut crate::broker::State| {
                    state.places.insert(place, Place::default());
                };
                self.broker.change(make);
                Ok(())
            }
            (Some(SourceFault::ShowsSecrets), error) => Err(format!("me:{SECRET}@{error}").into()),
            (_, error) => Err(error.into()),
        }
    }

    async fn wait_for_server(&self) {
        while self.broker.call(&self.place, |_| ()).await.is_err() {
            self.broker.wait(&self.place).await;
        }
    }

    /// Whether the server is back just now, with the mistakes that are made then.
    async fn is_back(&mut self) -> bool {
        let is_back = std::mem::take(&mut self.was_lost);
        if is_back && self.has(SourceFault::DropsOnReconnect) {
            let settle = |place: &mut Place| place.messages.retain(|_, m| m.lent.is_none());
            drop(self.broker.call(&self.place, settle).await);
        }
        is_back && !self.has(SourceFault::SaysNothingWhenBack)
    }

    async fn step(&mut self, intake: &mut Intake<Parcel, Token>) -> Result<bool, BoxError> {
        if self.was_lost && self.has(SourceFault::NeverReturns) {
            std::future::pending::<()>().await;
        }
        let claimed = match self.claim(intake.room()).await {
            Ok(claimed) => claimed,
            Err(error) => return self.lost(error).await.map(|()| true),
        };
        // The engine is to know at once that the server answers, also with nothing.
        let is_back = self.is_back().await;
        if self.has(SourceFault::LosesOnCancel) {
            let held: Vec<_> = claimed
                .iter()
                .map(|lent| self.leases.hold(lent.key))
                .collect();
            let held = std::mem::ManuallyDrop::new(held);
            sleep(Duration::from_millis(1)).await;
            drop(std::mem::ManuallyDrop::into_inner(held));
        }
        self.kept.extend(claimed);
        let room = match self.fault {
            Some(SourceFault::PushesMore) => intake.room() + MORE,
            _ => intake.room(),
        };
        let count = self.kept.len().min(room);
        let lent: Vec<_> = self.kept.drain(..count).collect();
        for lent in lent {
            self.push(lent, intake);
        }
        Ok(is_back || !intake.is_empty() || self.has(SourceFault::Spins))
    }
}

impl Producer for MemorySource {
    type Payload = Parcel;
    type Acknowledger = MemoryAcknowledger;

    async fn open(&mut self) -> Result<(), BoxError> {
        if self.has(SourceFault::FailsToOpen) {
            self.broker.call(&self.place, |_| ()).await?;
        }
        Ok(())
    }

    async fn receive(&mut self, intake: &mut Intake<Parcel, Token>) -> Result<Received, BoxError> {
        while !self.step(intake).await? {
            self.broker.wait(&self.place).await;
        }
        Ok(Received::More)
    }

    async fn drain(&mut self, _intake: &mut Intake<Parcel, Token>) -> Result<(), BoxError> {
        if self.has(SourceFault::HangsOnDrain) {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    fn acknowledger(&mut self) -> Option<MemoryAcknowledger> {
        Some(MemoryAcknowledger {
            broker: self.broker.clone(),
            place: self.place.clone(),
            fault: self.fault,
            leases: self.leases.clone(),
        })
    }

    fn redelivery(&self) -> Redelivery {
        Redelivery::Durable
    }
}

impl Drop for MemorySource {
    fn drop(&mut self) {
        if self.has(SourceFault::AcksWhenDropped) {
            let place = &self.place;
            self.broker.change(|state| {
                if let Some(place) = state.places.get_mut(place) {
                    place.messages.retain(|_, message| message.lent.is_none());
                }
            });
        }
    }
}

// === impl MemoryAcknowledger ===

impl MemoryAcknowledger {
    fn has(&self, fault: SourceFault) -> bool {
        self.fault == Some(fault)
    }

    async fn tell(&self, told: &[(Key, Outcome)]) -> Result<Settled, BrokerError> {
        let fault = self.fault;
        let tell = |place: &mut Place| {
            let settled = told
                .iter()
                .map(|(key, outcome)| settle(place, *key, outcome, fault));
            settled.fold(Settled::default(), Settled::and)
        };
        self.broker.call(&self.place, tell).await
    }
}

impl Acknowledger for MemoryAcknowledger {
    type Token = Token;

    async fn settle(&mut self, run: &mut Vec<(Token, Outcome)>) -> Result<Settled, BoxError> {
        let told: Vec<_> = run
            .iter()
            .map(|(held, outcome)| (*held.key(), outcome.clone()))
            .collect();
        if self.has(SourceFault::TellsNobody) {
            run.clear();
            return Ok(Settled::confirmed(told.len()));
        }
        if self.has(SourceFault::ForgetsOnCancel) {
            let held = std::mem::ManuallyDrop::new(std::mem::take(run));
            let settled = self.tell(&told).await;
            drop(std::mem::ManuallyDrop::into_inner(held));
            return Ok(settled?);
        }
        let settled = self.tell(&told).await?;
        run.clear();
        Ok(settled)
    }

    fn extend_every(&self) -> Option<Duration> {
        (!self.has(SourceFault::NeverExtends)).then_some(LEASE / 3)
    }

    async fn extend(&mut self) -> Result<(), BoxError> {
        let due = self.leases.due();
        let extend = |place: &mut Place| {
            let until = Instant::now() + LEASE;
            for key in due {
                if let Some(message) = place.lent(key) {
                    message.lent = Some(until);
                }
            }
        };
        Ok(self.broker.call(&self.place, extend).await?)
    }
}

fn settle(place: &mut Place, key: Key, outcome: &Outcome, fault: Option<SourceFault>) -> Settled {
    let others = fault == Some(SourceFault::SettlesForOthers);
    let claims = fault != Some(SourceFault::ClaimsNothing);
    if place.lent(key).is_none() && claims && !others {
        return Settled::stale(1);
    }
    match (outcome, fault) {
        (Outcome::Retry { .. }, Some(SourceFault::LosesNacks)) => {
            place.messages.remove(&key.id);
        }
        (Outcome::Retry { after, .. }, Some(SourceFault::LosesAtStop)) if after.is_zero() => {
            place.messages.remove(&key.id);
        }
        (Outcome::Retry { after, .. }, _) => {
            let after = match fault {
                Some(SourceFault::ForgetsDelay) => Duration::ZERO,
                Some(SourceFault::DelaysForEver) => Duration::from_secs(60),
                _ => *after,
            };
            if let Some(message) = place.messages.get_mut(&key.id) {
                message.lent = None;
                message.due = Instant::now() + after;
            }
        }
        (Outcome::Reject(_), Some(SourceFault::ForgetsRejects)) => {}
        _ => {
            place.messages.remove(&key.id);
        }
    }
    Settled::confirmed(1)
}
