//! The builder of a processor, and the stage it makes.

use std::{
    fmt,
    num::NonZeroUsize,
    sync::Arc,
    task::{Context, Poll},
};

use tower_layer::Layer;
use tower_service::Service;
use towpath_core::{
    BoxError, FailureHook, Origin, Outcome, PolicyControl, Ports, Reason, Stage, StageInfo,
    StageName, Work,
};

use crate::{
    Bare, Blocking, ByKey, Carry, ChunkProcessor, Guard, InContext, Maybe, Order, Ordered, Parts,
    Plain, Reply, Single, Unordered, call::Call, in_time::InTime, policy::Guarded, worker::Worker,
};

/// How many messages of busy keys wait in lanes, unless said otherwise.
const PARKING: usize = 1024;
/// How many messages a processor works on at once, unless said otherwise.
const CONCURRENCY: usize = 16;

/// A stage that calls a tower service for each message.
///
/// One slot holds one message in flight and owns one clone of the service; `poll_ready`
/// is honoured before a message is taken. Without a word about order, results leave as
/// they come, [sixteen](Self::unordered) at once.
#[derive(Clone)]
pub struct Processor<S, C = Plain, X = Single, D = Unordered, P = Bare> {
    name: StageName,
    service: S,
    policies: P,
    reply: Arc<X>,
    order: Arc<D>,
    carry: std::marker::PhantomData<fn() -> C>,
    concurrency: usize,
    workers: Option<usize>,
    hook: Option<FailureHook>,
    notes: Vec<String>,
}

/// An async function as a tower service.
pub struct FnService<F>(Arc<F>);

impl<F> Processor<FnService<F>> {
    /// Calls an async function for each message: `Ok` goes on, `Err` fails the message.
    ///
    /// An error rejects its message, unless it is a [`Failure`](towpath_core::Failure)
    /// that says otherwise.
    pub fn new<T, Fut, U, E>(name: impl Into<StageName>, f: F) -> Self
    where
        F: Fn(T) -> Fut,
        Fut: Future<Output = Result<U, E>>,
    {
        Self::service(name, FnService(Arc::new(f)))
    }
}

impl<F> Processor<FnService<F>, InContext> {
    /// As [`new`](Processor::new), with where the message came from.
    pub fn with_context<T, Fut, U, E>(name: impl Into<StageName>, f: F) -> Self
    where
        F: Fn(Call<T>) -> Fut,
        Fut: Future<Output = Result<U, E>>,
    {
        Self::build(name, FnService(Arc::new(f)), Single)
    }
}

impl<F> Processor<FnService<F>, Plain, Maybe> {
    /// Calls an async function for each message: `Ok(None)` leaves it out, counted by `reason`.
    pub fn filter_map<T, Fut, U, E>(
        name: impl Into<StageName>,
        reason: impl Into<Reason>,
        f: F,
    ) -> Self
    where
        F: Fn(T) -> Fut,
        Fut: Future<Output = Result<Option<U>, E>>,
    {
        let reason = reason.into();
        Self::build(name, FnService(Arc::new(f)), Maybe { reason })
    }
}

impl<F> Processor<FnService<F>, Plain, Parts> {
    /// Calls an async function that makes several messages of one; it is acknowledged when all are.
    pub fn flat_map<T, Fut, U, E>(name: impl Into<StageName>, f: F) -> Self
    where
        F: Fn(T) -> Fut,
        Fut: Future<Output = Result<Vec<U>, E>>,
    {
        Self::build(name, FnService(Arc::new(f)), Parts)
    }
}

impl<F> Processor<Blocking<F>> {
    /// Calls a blocking function for each message, on the blocking pool.
    pub fn blocking<T, U, E>(name: impl Into<StageName>, f: F) -> Self
    where
        F: Fn(T) -> Result<U, E>,
    {
        Self::service(name, Blocking::new(f)).note("blocking")
    }
}

impl Processor<()> {
    /// Calls an async function for each chunk, which answers for each message by its place.
    ///
    /// For look-ups that are cheaper together. See [`ChunkProcessor`].
    pub fn chunk<T, F, Fut, U, E>(name: impl Into<StageName>, f: F) -> ChunkProcessor<FnService<F>>
    where
        F: Fn(Vec<T>) -> Fut,
        Fut: Future<Output = Result<Vec<Result<U, E>>, BoxError>>,
    {
        ChunkProcessor::new(name.into(), FnService(Arc::new(f)))
    }
}

impl<S> Processor<S> {
    /// Calls a tower service for each message; each slot owns a clone of it.
    pub fn service(name: impl Into<StageName>, service: S) -> Self {
        Self::build(name, service, Single)
    }
}

impl<S, C, X> Processor<S, C, X> {
    fn build(name: impl Into<StageName>, service: S, reply: X) -> Self {
        Self {
            name: name.into(),
            service,
            policies: Bare,
            reply: Arc::new(reply),
            order: Arc::new(Unordered),
            carry: std::marker::PhantomData,
            concurrency: CONCURRENCY,
            workers: None,
            hook: None,
            notes: Vec::new(),
        }
    }
}

impl<S, C, X, D, P> Processor<S, C, X, D, P> {
    /// Works on up to `n` messages at once.
    #[must_use]
    pub fn concurrency(mut self, n: usize) -> Self {
        self.concurrency = n;
        self
    }

    /// Works on up to `n` messages at once; results leave as they come.
    #[must_use]
    pub fn unordered(self, n: usize) -> Processor<S, C, X, Unordered, P> {
        self.concurrency(n).order(Unordered)
    }

    /// Works on up to `n` messages at once; results leave in the order their messages came.
    ///
    /// The stage runs on one task then.
    #[must_use]
    pub fn ordered(self, n: usize) -> Processor<S, C, X, Ordered, P> {
        self.concurrency(n).order(Ordered)
    }

    /// Works on up to `n` messages at once, of one key one at a time and in order.
    ///
    /// A key that is busy holds no slot: its messages wait in a lane, 1024 over all lanes
    /// unless [said otherwise](Processor::parking). The stage runs on one task then.
    #[must_use]
    pub fn by_key<T, K, F>(self, n: usize, key: F) -> Processor<S, C, X, ByKey<F>, P>
    where
        F: Fn(&T) -> K,
    {
        self.concurrency(n).order(ByKey::new(key, PARKING))
    }

    /// Runs on `n` tasks; as many as there are cores, at most one per message, without it.
    #[must_use]
    pub fn workers(mut self, n: usize) -> Self {
        self.workers = Some(n);
        self
    }

    /// Puts a tower layer around the service, outside those added before and inside the
    /// policies: each attempt goes through it. [`layer_outside`](Self::layer_outside) puts one
    /// outside the policies.
    #[must_use]
    pub fn layer<L: Layer<S>>(self, layer: L) -> Processor<L::Service, C, X, D, P> {
        let name = short_type_name::<L>();
        Processor {
            service: layer.layer(self.service),
            policies: self.policies,
            name: self.name,
            reply: self.reply,
            order: self.order,
            carry: std::marker::PhantomData,
            concurrency: self.concurrency,
            workers: self.workers,
            hook: self.hook,
            notes: self.notes,
        }
        .note(format!("layer {name}"))
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

    fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    fn order<E>(self, order: E) -> Processor<S, C, X, E, P> {
        Processor {
            order: Arc::new(order),
            name: self.name,
            service: self.service,
            policies: self.policies,
            reply: self.reply,
            carry: std::marker::PhantomData,
            concurrency: self.concurrency,
            workers: self.workers,
            hook: self.hook,
            notes: self.notes,
        }
    }

    pub(crate) fn with_policies<N>(self, change: impl FnOnce(P) -> N) -> Processor<S, C, X, D, N> {
        Processor {
            policies: change(self.policies),
            name: self.name,
            service: self.service,
            reply: self.reply,
            order: self.order,
            carry: std::marker::PhantomData,
            concurrency: self.concurrency,
            workers: self.workers,
            hook: self.hook,
            notes: self.notes,
        }
    }
}

impl<S, C, X, F, P> Processor<S, C, X, ByKey<F>, P> {
    /// Lets up to `messages` wait in lanes, over all keys. More is read ahead then, so
    /// that a hot key holds others up less.
    #[must_use]
    pub fn parking(mut self, messages: NonZeroUsize) -> Self {
        if let Some(order) = Arc::get_mut(&mut self.order) {
            order.parking(messages.get());
        }
        self
    }

    /// Rejects, after a failure, every later message of the same key, in order, until the
    /// pipeline is started again. Without it the lane goes on behind the failed message.
    #[must_use]
    pub fn halt_on_failure(mut self) -> Self {
        if let Some(order) = Arc::get_mut(&mut self.order) {
            order.halt();
        }
        self.note("halts a lane on failure")
    }
}

impl<T, S, C, X, D, P> Stage<T> for Processor<S, C, X, D, P>
where
    T: Send + 'static,
    C: Carry<T>,
    S: Service<C::Request> + Clone + Send + Sync + 'static,
    P: Guard<S, C::Request>,
    P::Service: Service<C::Request, Response = S::Response> + Clone + Send + 'static,
    <P::Service as Service<C::Request>>::Future: Send + 'static,
    <P::Service as Service<C::Request>>::Error: Into<BoxError> + Send + 'static,
    S::Response: Send + 'static,
    X: Reply<S::Response>,
    D: Order<T, S::Response>,
{
    type Out = X::Out;

    fn info(&self) -> StageInfo {
        let concurrency = self.most();
        let workers = if self.order.spreads() {
            self.workers.unwrap_or_else(cores).min(concurrency)
        } else {
            1
        };
        let info = StageInfo::new(self.name.clone(), "processor")
            .sized(workers, concurrency)
            .note(self.order.word())
            .holding(self.order.parking());
        let mut info = self.policies.describe(concurrency, info);
        info.notes.extend(self.notes.iter().cloned());
        info
    }

    fn hook(&self) -> Option<FailureHook> {
        self.hook.clone()
    }

    fn policies(&self) -> Option<Arc<dyn PolicyControl>> {
        self.policies.control(self.most())
    }

    fn work(&self, worker: usize, ports: Ports<T, X::Out>) -> Work {
        let Some(service) = self.policies.guard(self.service.clone(), self.most()) else {
            // The stage has said what is wrong with it, and is not started.
            return Box::pin(async {});
        };
        // Without a policy and a deadline calls have no context: one that is never read costs.
        if P::CARRIES || InTime::new(ports.failures.context()).is_limited() {
            self.run::<T, P::Service, true>(worker, service, ports)
        } else {
            self.run::<T, P::Service, false>(worker, service, ports)
        }
    }
}

impl<S, C, X, D, P> Processor<S, C, X, D, P> {
    fn run<T, G, const SCOPED: bool>(
        &self,
        worker: usize,
        service: G,
        ports: Ports<T, X::Out>,
    ) -> Work
    where
        T: Send + 'static,
        C: Carry<T>,
        G: Service<C::Request, Future: Send + 'static> + Clone + Send + 'static,
        G::Error: Into<BoxError> + Send + 'static,
        G::Response: Send + 'static,
        X: Reply<G::Response>,
        D: Order<T, G::Response>,
    {
        let worker = Worker::<T, X::Out, G, C, X, D::Discipline, SCOPED>::new(
            worker,
            service,
            self.reply.clone(),
            self.order.discipline(),
            ports,
        );
        Box::pin(worker.run())
    }
}

impl<S, C, X, D, P: Guarded> Processor<S, C, X, D, P> {
    /// How many messages it works on at once at most.
    fn most(&self) -> usize {
        self.policies.adapts_up_to().unwrap_or(self.concurrency)
    }
}

pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

pub(crate) fn short_type_name<L>() -> &'static str {
    let full = std::any::type_name::<L>();
    let base = full.split('<').next().unwrap_or(full);
    base.rsplit("::").next().unwrap_or(base)
}

// === impl FnService ===

impl<F> Clone for FnService<F> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<F> fmt::Debug for FnService<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FnService")
    }
}

impl<T, F, Fut, U, E> Service<T> for FnService<F>
where
    F: Fn(T) -> Fut,
    Fut: Future<Output = Result<U, E>>,
{
    type Response = U;
    type Error = E;
    type Future = Fut;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, request: T) -> Fut {
        (self.0)(request)
    }
}

impl<S, C, X, D, P> fmt::Debug for Processor<S, C, X, D, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Processor")
            .field("name", &self.name)
            .field("concurrency", &self.concurrency)
            .field("notes", &self.notes)
            .finish_non_exhaustive()
    }
}
