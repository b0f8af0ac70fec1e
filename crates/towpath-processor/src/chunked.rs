//! A processor over a whole chunk that answers for each message by its place.

mod chunk;
mod worker;

use std::{fmt, sync::Arc};

use tower_layer::Layer;
use tower_service::Service;
use towpath_core::{
    BoxError, FailureHook, Origin, Outcome, PolicyControl, Ports, Stage, StageInfo, StageName, Work,
};

use crate::{
    Bare, Guard,
    in_time::InTime,
    policy::Guarded,
    processor::{cores, short_type_name},
};
use worker::ChunkWorker;

/// How many messages a chunk holds at most, unless said otherwise.
const MAX: usize = 64;
/// How many chunks are worked on at once, unless said otherwise.
const CONCURRENCY: usize = 4;

/// A stage that calls a service for each chunk: batched look-ups, one transaction.
///
/// The service answers with a result for each message, by its place; a message without
/// a result is given back to its source. An error is the answer for the whole chunk.
#[derive(Clone)]
pub struct ChunkProcessor<S, P = Bare> {
    name: StageName,
    service: S,
    policies: P,
    max: usize,
    concurrency: usize,
    hook: Option<FailureHook>,
    notes: Vec<String>,
}

impl<S> ChunkProcessor<S> {
    pub(crate) fn new(name: StageName, service: S) -> Self {
        Self {
            name,
            service,
            policies: Bare,
            max: MAX,
            concurrency: CONCURRENCY,
            hook: None,
            notes: Vec::new(),
        }
    }
}

impl<S, P> ChunkProcessor<S, P> {
    /// Takes up to `messages` at a time; what is there, without waiting for more.
    #[must_use]
    pub fn max_messages(mut self, messages: usize) -> Self {
        self.max = messages;
        self
    }

    /// Works on up to `n` chunks at once.
    #[must_use]
    pub fn concurrency(mut self, n: usize) -> Self {
        self.concurrency = n;
        self
    }

    /// Puts a tower layer around the service, outside those added before and inside the
    /// policies: each attempt goes through it. [`layer_outside`](Self::layer_outside) puts one
    /// outside the policies.
    #[must_use]
    pub fn layer<L: Layer<S>>(mut self, layer: L) -> ChunkProcessor<L::Service, P> {
        self.notes.push(format!("layer {}", short_type_name::<L>()));
        ChunkProcessor {
            service: layer.layer(self.service),
            policies: self.policies,
            name: self.name,
            max: self.max,
            concurrency: self.concurrency,
            hook: self.hook,
            notes: self.notes,
        }
    }

    /// Sees each failure before it is settled, and may change its outcome.
    #[must_use]
    pub fn on_failure<H>(mut self, hook: H) -> Self
    where
        H: Fn(Outcome, &Origin) -> Outcome + Send + Sync + 'static,
    {
        self.hook = Some(Arc::new(hook));
        self
    }

    pub(crate) fn with_policies<N>(self, change: impl FnOnce(P) -> N) -> ChunkProcessor<S, N> {
        ChunkProcessor {
            policies: change(self.policies),
            name: self.name,
            service: self.service,
            max: self.max,
            concurrency: self.concurrency,
            hook: self.hook,
            notes: self.notes,
        }
    }
}

impl<S, P: Guarded> ChunkProcessor<S, P> {
    /// How many chunks it works on at once at most.
    fn most(&self) -> usize {
        self.policies.adapts_up_to().unwrap_or(self.concurrency)
    }
}

impl<T, U, E, S, P> Stage<T> for ChunkProcessor<S, P>
where
    T: Send + 'static,
    U: Send + 'static,
    E: Into<BoxError> + Send + 'static,
    S: Service<Vec<T>, Response = Vec<Result<U, E>>> + Clone + Send + Sync + 'static,
    P: Guard<S, Vec<T>>,
    P::Service: Service<Vec<T>, Response = Vec<Result<U, E>>> + Clone + Send + 'static,
    <P::Service as Service<Vec<T>>>::Future: Send + 'static,
    <P::Service as Service<Vec<T>>>::Error: Into<BoxError> + Send + 'static,
{
    type Out = U;

    fn info(&self) -> StageInfo {
        let concurrency = self.most();
        let info = StageInfo::new(self.name.clone(), "processor")
            .sized(cores().min(concurrency), concurrency)
            .note(format!("chunks of {}", self.max));
        let mut info = self.policies.describe(concurrency, info);
        info.notes.extend(self.notes.iter().cloned());
        // A slot holds a chunk, at work or parked.
        info.parking = info.parking.div_ceil(self.max.max(1));
        let chunks = concurrency.saturating_add(info.parking);
        let info = info.holding(self.max.saturating_mul(chunks));
        match self.max {
            0 => info.problem("max_messages must be at least 1"),
            _ => info,
        }
    }

    fn hook(&self) -> Option<FailureHook> {
        self.hook.clone()
    }

    fn policies(&self) -> Option<Arc<dyn PolicyControl>> {
        self.policies.control(self.most())
    }

    fn work(&self, worker: usize, ports: Ports<T, U>) -> Work {
        let Some(service) = self.policies.guard(self.service.clone(), self.most()) else {
            // The stage has said what is wrong with it, and is not started.
            return Box::pin(async {});
        };
        if P::CARRIES || InTime::new(ports.failures.context()).is_limited() {
            Box::pin(ChunkWorker::<_, _, _, true>::new(worker, service, self.max, ports).run())
        } else {
            Box::pin(ChunkWorker::<_, _, _, false>::new(worker, service, self.max, ports).run())
        }
    }
}

impl<S, P> fmt::Debug for ChunkProcessor<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkProcessor")
            .field("name", &self.name)
            .field("max", &self.max)
            .finish_non_exhaustive()
    }
}
