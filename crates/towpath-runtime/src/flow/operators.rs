//! The operators of a flow: fused into the workers beside them.

use towpath_core::{BoxError, Reason, SettleOptions};
use towpath_processor::{
    Operator,
    operator::{
        AcknowledgeNow, Configure, Decode, Decoder, Filter, FilterMap, FlatMap, FlushWhen, Inspect,
        Map, TryMap,
    },
};

use super::Flow;

impl<O: Operator> Flow<O> {
    fn then<Q>(self, add: impl FnOnce(O) -> Q) -> Flow<Q>
    where
        Q: Operator<In = O::In>,
    {
        Flow {
            chain: add(self.chain),
            upstream: self.upstream,
        }
    }

    /// Changes each payload.
    pub fn map<U, F>(self, f: F) -> Flow<Map<O, F>>
    where
        F: Fn(O::Out) -> U + Send + Sync + 'static,
        U: Send + 'static,
    {
        self.then(|chain| Map::new(chain, f))
    }

    /// Changes each payload, or fails its message: any error rejects it, unless it is a
    /// [`Failure`](towpath_core::Failure) that says otherwise.
    pub fn try_map<U, E, F>(self, f: F) -> Flow<TryMap<O, F>>
    where
        F: Fn(O::Out) -> Result<U, E> + Send + Sync + 'static,
        U: Send + 'static,
        E: Into<BoxError>,
    {
        self.then(|chain| TryMap::new(chain, f))
    }

    /// Turns each raw payload into a typed one; a bad one is rejected with its raw form.
    pub fn decode<D>(self, decoder: D) -> Flow<Decode<O, D>>
    where
        D: Decoder<O::Out>,
        O::Out: serde::Serialize + Sync,
    {
        self.then(|chain| Decode::new(chain, decoder))
    }

    /// Keeps what `keep` says; what it refuses is dropped and counted by `reason`.
    pub fn filter<F>(self, reason: impl Into<Reason>, keep: F) -> Flow<Filter<O, F>>
    where
        F: Fn(&O::Out) -> bool + Send + Sync + 'static,
    {
        self.then(|chain| Filter::new(chain, reason.into(), keep))
    }

    /// Changes a payload; `None` is dropped and counted by `reason`.
    pub fn filter_map<U, F>(self, reason: impl Into<Reason>, f: F) -> Flow<FilterMap<O, F>>
    where
        F: Fn(O::Out) -> Option<U> + Send + Sync + 'static,
        U: Send + 'static,
    {
        self.then(|chain| FilterMap::new(chain, reason.into(), f))
    }

    /// Makes several messages of each; it is acknowledged when all of them are.
    ///
    /// A panic here, or in an operator behind it and before the next stage, rejects the
    /// message and makes no more of it; what was made before goes on.
    pub fn flat_map<I, F>(self, f: F) -> Flow<FlatMap<O, F>>
    where
        F: Fn(O::Out) -> I + Send + Sync + 'static,
        I: IntoIterator,
        I::Item: Send + 'static,
    {
        self.then(|chain| FlatMap::new(chain, f))
    }

    /// Looks at each payload.
    pub fn inspect<F>(self, look: F) -> Flow<Inspect<O, F>>
    where
        F: Fn(&O::Out) + Send + Sync + 'static,
    {
        self.then(|chain| Inspect::new(chain, look))
    }

    /// Acknowledges the messages that `when` picks here and now, before the rest of the
    /// pipeline has seen them. What fails later is lost to the source.
    pub fn acknowledge_now<F>(mut self, when: F) -> Flow<AcknowledgeNow<O, F>>
    where
        F: Fn(&O::Out) -> bool + Send + Sync + 'static,
    {
        self.upstream
            .promises
            .leak("acknowledge_now settles before the work is done");
        self.then(|chain| AcknowledgeNow::new(chain, when))
    }

    /// Marks the messages that `when` picks: each closes the batch it gets into.
    pub fn flush_when<F>(self, when: F) -> Flow<FlushWhen<O, F>>
    where
        F: Fn(&O::Out) -> bool + Send + Sync + 'static,
    {
        self.then(|chain| FlushWhen::new(chain, when))
    }

    /// Changes how the source settles a message; an option that the source does not know
    /// rejects it.
    pub fn configure_ack<F>(self, options: F) -> Flow<Configure<O, F>>
    where
        F: Fn(&O::Out) -> Option<SettleOptions> + Send + Sync + 'static,
    {
        self.then(|chain| Configure::new(chain, options))
    }
}
