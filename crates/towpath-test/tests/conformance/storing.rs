//! The sink of the queue in memory, as it should be, and in all ways that are broken.

use std::time::Duration;

use tokio::time::sleep;
use towpath::{
    Batch, BoxError, Headers, Sink, Verdicts, Written,
    core::{Reach, SinkPromise},
};
use towpath_connector::outgoing;
use towpath_test::conformance::Parcel;

use crate::{
    broker::{Broker, BrokerError, Place, TOO_LARGE},
    faults::SinkFault,
    rig::{REFUSED, SECRET},
};

#[derive(Clone)]
pub(crate) struct MemorySink {
    broker: Broker,
    place: String,
    fault: Option<SinkFault>,
    reach: Reach,
    late: Vec<Sent>,
    writing: bool,
}

/// A message on its way out.
#[derive(Clone)]
struct Sent {
    parcel: Parcel,
    identity: String,
}

// === impl MemorySink ===

impl MemorySink {
    pub(crate) fn new(broker: Broker, place: &str, fault: Option<SinkFault>) -> Self {
        Self {
            broker,
            place: place.to_owned(),
            fault,
            reach: Reach::default(),
            late: Vec::new(),
            writing: false,
        }
    }

    fn has(&self, fault: SinkFault) -> bool {
        self.fault == Some(fault)
    }

    fn sent(&self, batch: &Batch<Parcel>, index: usize) -> Sent {
        let mut parcel = batch.items()[index].clone();
        let own: Headers = match self.fault {
            Some(SinkFault::IgnoresHeaders) => Headers::default(),
            _ => parcel.headers.iter().cloned().collect(),
        };
        let hidden = match self.fault {
            Some(SinkFault::IgnoresAttempts) => "towpath-attempt",
            Some(SinkFault::IgnoresTraces) => "traceparent",
            _ => "",
        };
        let headers = outgoing(batch, index, &own);
        let shown = headers.iter().filter(|(name, _)| *name != hidden);
        parcel.headers = shown.map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        if self.has(SinkFault::ChangesKeys) {
            parcel.key = parcel.key.to_uppercase();
        }
        let identity = batch
            .origin(index)
            .and_then(|origin| origin.identity.as_ref());
        let identity = identity.map_or_else(String::new, ToString::to_string);
        Sent { parcel, identity }
    }

    async fn store(&mut self, sent: &[Sent]) -> Result<(), BrokerError> {
        let once = !self.has(SinkFault::StoresTwice);
        let store = |place: &mut Place| {
            for Sent { parcel, identity } in sent {
                if place.identities.insert(identity.clone()) || !once {
                    place.put(parcel.clone());
                }
            }
        };
        if self.has(SinkFault::OneAtATime) {
            return self.overwrite(sent).await;
        }
        self.broker.call(&self.place, store).await
    }

    /// Reads what is there, and writes it back with what is new.
    async fn overwrite(&self, sent: &[Sent]) -> Result<(), BrokerError> {
        let read = |place: &mut Place| -> Vec<Parcel> {
            place.messages.values().map(|m| m.parcel.clone()).collect()
        };
        let mut all = self.broker.call(&self.place, read).await?;
        all.extend(sent.iter().map(|sent| sent.parcel.clone()));
        let write = |place: &mut Place| {
            *place = Place::default();
            for parcel in all {
                place.put(parcel);
            }
        };
        self.broker.call(&self.place, write).await
    }

    fn verdicts(&self, batch: &Batch<Parcel>) -> (Vec<usize>, Verdicts) {
        let (mut good, mut verdicts) = (Vec::new(), Verdicts::done());
        for (index, parcel) in batch.iter().enumerate() {
            let too_large = parcel.payload.len() >= TOO_LARGE;
            if too_large && self.has(SinkFault::TriesTooLarge) {
                verdicts = verdicts.retry(index, "too large", Duration::from_millis(10));
            } else if too_large || parcel.key == REFUSED {
                verdicts = verdicts.reject(index, "the queue refuses it");
            } else if !(parcel.payload.is_empty() && self.has(SinkFault::SkipsEmpty)) {
                good.push(index);
            }
        }
        (good, verdicts)
    }

    /// What becomes of a batch when the server is away; `None` when it is tried again.
    async fn lost(&self, error: &BrokerError, batch: &Batch<Parcel>) -> Option<Verdicts> {
        match self.fault {
            Some(SinkFault::NeverSays) => {}
            Some(SinkFault::ShowsSecrets) => self.reach.failed(&format!("me:{SECRET}@{error}")),
            _ => self.reach.failed(&error.to_string()),
        }
        let all = || {
            (0..batch.len()).fold(Verdicts::done(), |verdicts, index| {
                verdicts.reject(index, error.to_string())
            })
        };
        match (self.fault, error) {
            (Some(SinkFault::DoneWhenLost), _) => return Some(Verdicts::done()),
            (Some(SinkFault::RejectsWhenLost), _) | (_, BrokerError::NoPlace(_)) => {
                return Some(all());
            }
            (Some(SinkFault::Spins), _) => sleep(Duration::from_millis(1)).await,
            _ => sleep(Duration::from_millis(500)).await,
        }
        None
    }
}

impl Sink<Parcel> for MemorySink {
    async fn open(&mut self) -> Result<(), BoxError> {
        if self.has(SinkFault::FailsToOpen) {
            self.broker.call(&self.place, |_| ()).await?;
        }
        Ok(())
    }

    async fn write(&mut self, batch: Batch<Parcel>) -> Result<Written, BoxError> {
        if std::mem::replace(&mut self.writing, true) && self.has(SinkFault::BreaksOnCancel) {
            return Err("the connection is in the middle of something".into());
        }
        let (mut good, verdicts) = self.verdicts(&batch);
        if self.has(SinkFault::RejectsAll) && good.len() < batch.len() {
            self.writing = false;
            return Err("the queue refuses one of them".into());
        }
        if self.has(SinkFault::LosesTheLast) {
            good.pop();
        }
        if self.has(SinkFault::Backwards) {
            good.reverse();
        }
        let mut sent: Vec<_> = good
            .into_iter()
            .map(|index| self.sent(&batch, index))
            .collect();
        if self.has(SinkFault::DoneTooEarly) {
            std::mem::swap(&mut sent, &mut self.late);
        }
        while let Err(error) = self.store(&sent).await {
            if let (BrokerError::NoPlace(place), true) = (&error, self.has(SinkFault::MakesPlaces))
            {
                self.broker.change(|state| {
                    state.places.insert(place.clone(), Place::default());
                });
            } else if let Some(verdicts) = self.lost(&error, &batch).await {
                self.writing = false;
                return Ok(verdicts.into());
            }
        }
        self.reach.answered();
        self.writing = false;
        Ok(verdicts.into())
    }

    fn reach(&self) -> Option<Reach> {
        Some(self.reach.clone())
    }

    fn promise(&self) -> SinkPromise {
        SinkPromise::Idempotent
    }
}
