//! The rig of the queue in memory.

use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use towpath::BoxError;
use towpath_test::conformance::{
    BothRig, Clock, Order, Parcel, Rig, SinkPromises, SinkRig, SourcePromises, SourceRig,
};

use crate::{
    broker::{Broker, LEASE, Place, TOO_LARGE},
    faults::{SinkFault, SourceFault},
    receiving::MemorySource,
    storing::MemorySink,
};

/// The key of what the queue refuses to store.
pub(crate) const REFUSED: &str = "refused";
/// What no error may show.
pub(crate) const SECRET: &str = "hunter2";

pub(crate) struct MemoryRig {
    broker: Broker,
    places: AtomicUsize,
    source_fault: Option<SourceFault>,
    sink_fault: Option<SinkFault>,
    clock: Clock,
}

impl MemoryRig {
    pub(crate) fn new() -> Self {
        Self {
            broker: Broker::default(),
            places: AtomicUsize::new(0),
            source_fault: None,
            sink_fault: None,
            clock: Clock::Paused,
        }
    }

    pub(crate) fn with_source(mut self, fault: SourceFault) -> Self {
        self.source_fault = Some(fault);
        self
    }

    pub(crate) fn with_sink(mut self, fault: SinkFault) -> Self {
        self.sink_fault = Some(fault);
        self
    }

    pub(crate) fn on_real_time(mut self) -> Self {
        self.clock = Clock::Real;
        self
    }
}

impl Rig for MemoryRig {
    async fn place(&self) -> Result<String, BoxError> {
        let name = format!("place-{}", self.places.fetch_add(1, Relaxed));
        self.broker.change(|state| {
            state.places.insert(name.clone(), Place::default());
        });
        Ok(name)
    }

    fn clock(&self) -> Clock {
        self.clock
    }

    fn kill(&self) {
        self.broker.set_down(true);
    }

    fn restart(&self) -> Result<(), BoxError> {
        self.broker.set_down(false);
        Ok(())
    }

    fn freeze(&self) -> bool {
        self.broker.set_frozen(true);
        true
    }

    fn thaw(&self) {
        self.broker.set_frozen(false);
    }

    fn secrets(&self) -> Vec<String> {
        vec![SECRET.to_owned()]
    }
}

impl SourceRig for MemoryRig {
    type Source = MemorySource;

    fn promises(&self) -> SourcePromises {
        SourcePromises::new()
            .order(Order::Total)
            .lease(LEASE)
            .comes_again_within(LEASE + Duration::from_secs(1))
            .largest(TOO_LARGE - 1)
    }

    fn source(&self, place: &str, member: usize) -> MemorySource {
        MemorySource::new(self.broker.clone(), place, member, self.source_fault)
    }

    fn parcel(payload: &Parcel) -> Parcel {
        payload.clone()
    }

    async fn put(&self, place: &str, parcels: Vec<Parcel>) -> Result<(), BoxError> {
        let put = |place: &mut Place| parcels.into_iter().for_each(|parcel| place.put(parcel));
        Ok(self.broker.call(place, put).await?)
    }

    async fn outstanding(&self, place: &str) -> Result<u64, BoxError> {
        let count = |place: &mut Place| place.messages.len() as u64;
        Ok(self.broker.call(place, count).await?)
    }

    async fn claimed(&self, place: &str) -> Result<Option<u64>, BoxError> {
        let count = |place: &mut Place| place.claimed();
        Ok(Some(self.broker.call(place, count).await?))
    }
}

impl SinkRig for MemoryRig {
    type Item = Parcel;
    type Sink = MemorySink;

    fn promises(&self) -> SinkPromises {
        SinkPromises::new()
            .order(Order::Total)
            .largest(TOO_LARGE - 1)
            .too_large(TOO_LARGE)
    }

    fn item(parcel: Parcel) -> Parcel {
        parcel
    }

    fn refused(&self) -> Option<Parcel> {
        Some(Parcel::new(REFUSED, "1000"))
    }

    fn sink(&self, place: &str) -> MemorySink {
        MemorySink::new(self.broker.clone(), place, self.sink_fault)
    }

    async fn stored(&self, place: &str) -> Result<Vec<Parcel>, BoxError> {
        let read = |place: &mut Place| {
            let stored = place.messages.values();
            stored.map(|message| message.parcel.clone()).collect()
        };
        Ok(self.broker.call(place, read).await?)
    }
}

impl BothRig for MemoryRig {}
