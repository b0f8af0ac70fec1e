//! A processor over a whole chunk that answers for each message by its place.

use std::{
    any::Any,
    collections::VecDeque,
    fmt,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    task::{Context, Poll},
};

use tower_layer::Layer;
use tower_service::Service;
use towpath_core::{
    BoxError, Failure, FailureHook, Message, Origin, Outcome, Panicked, Ports, Receipt, Stage,
    StageInfo, StageName, Work,
};

use crate::{
    processor::cores,
    slots::{Broken, Slots},
};

/// How many messages a chunk holds at most, unless said otherwise.
const MAX: usize = 64;
/// How many chunks are worked on at once, unless said otherwise.
const CONCURRENCY: usize = 4;

/// A stage that calls a service for each chunk: batched look-ups, one transaction.
///
/// The service answers with a result for each message, by its place; a message without
/// a result is given back to its source. An error is the answer for the whole chunk.
#[derive(Clone)]
pub struct ChunkProcessor<S> {
    name: StageName,
    service: S,
    max: usize,
    concurrency: usize,
    hook: Option<FailureHook>,
}

/// A chunk processor answered for fewer messages than it was given.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the chunk processor gave no result for message {index} of the chunk")]
struct MissingResult {
    index: usize,
}

impl<S> ChunkProcessor<S> {
    pub(crate) fn new(name: StageName, service: S) -> Self {
        Self {
            name,
            service,
            max: MAX,
            concurrency: CONCURRENCY,
            hook: None,
        }
    }

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

    /// Puts a tower layer around the service, outside those added before.
    #[must_use]
    pub fn layer<L: Layer<S>>(self, layer: L) -> ChunkProcessor<L::Service> {
        ChunkProcessor {
            service: layer.layer(self.service),
            name: self.name,
            max: self.max,
            concurrency: self.concurrency,
            hook: self.hook,
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
}

impl<T, U, E, S> Stage<T> for ChunkProcessor<S>
where
    T: Send + 'static,
    U: Send + 'static,
    E: Into<BoxError> + Send + 'static,
    S: Service<Vec<T>, Response = Vec<Result<U, E>>> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError> + Send + 'static,
{
    type Out = U;

    fn info(&self) -> StageInfo {
        let info = StageInfo::new(self.name.clone(), "processor")
            .sized(cores().min(self.concurrency), self.concurrency)
            .note(format!("chunks of {}", self.max))
            .holding(self.max.saturating_mul(self.concurrency));
        match self.max {
            0 => info.problem("max_messages must be at least 1"),
            _ => info,
        }
    }

    fn hook(&self) -> Option<FailureHook> {
        self.hook.clone()
    }

    fn work(&self, worker: usize, ports: Ports<T, U>) -> Work {
        let mut worker = ChunkWorker {
            index: worker,
            max: self.max,
            ports,
            slots: Slots::new(self.service.clone()),
            inbox: VecDeque::new(),
            done: VecDeque::new(),
            finished: Vec::new(),
            ended: false,
            abandoned: false,
            share: 0,
        };
        Box::pin(async move {
            poll_fn(|cx| worker.poll(cx)).await;
            worker.ports.control.finish();
        })
    }
}

/// The receipts of a chunk, and what its call came to.
type Finished<R, E> = (Vec<Receipt>, Result<R, E>);

struct ChunkWorker<T, U, S: Service<Vec<T>>> {
    index: usize,
    max: usize,
    ports: Ports<T, U>,
    slots: Slots<S, Vec<T>, Vec<Receipt>>,
    inbox: VecDeque<Message<T>>,
    done: VecDeque<Message<U>>,
    /// Kept here while others are polled: a panic of one loses no other.
    finished: Vec<Finished<S::Response, S::Error>>,
    ended: bool,
    /// Nobody takes the results any more: what comes in goes back to its source.
    abandoned: bool,
    /// Its part of the limit, as it saw it last.
    share: usize,
}

impl<T, U, E, S> ChunkWorker<T, U, S>
where
    E: Into<BoxError>,
    S: Service<Vec<T>, Response = Vec<Result<U, E>>> + Clone,
    S::Error: Into<BoxError>,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.slots.register(cx.waker());
        self.guarded(Self::collect);
        if self.slots.is_readying() {
            self.guarded(|worker| worker.slots.is_readying() && worker.start_readied());
        }
        loop {
            let clear = self.hand_on(cx);
            self.share = self.ports.control.share(self.index);
            if !clear {
                break;
            }
            // A chunk that panicked has left letters, to be handed on first.
            if !self.guarded(|worker| worker.start(cx)) && self.ports.failures.is_clear() {
                break;
            }
        }
        self.ports.outlet.flush();
        if self.slots.running() >= self.share {
            let control = &self.ports.control;
            control.watch(self.index, self.share, cx.waker());
        }
        if self.is_finished(cx) {
            return self.ports.outlet.poll_drained(cx);
        }
        // What a service is being readied for stays: it must be called once it is ready.
        if !self.slots.is_readying() {
            self.ports.inlet.offer_back(&mut self.inbox);
        }
        if self.slots.running() >= self.share {
            self.ports.inlet.stop_waiting();
        }
        Poll::Pending
    }

    fn is_finished(&mut self, cx: &mut Context<'_>) -> bool {
        if self.slots.running() > 0 {
            return false;
        }
        let over = self.ended || self.ports.control.is_finished();
        self.abandoned || over && self.inbox.is_empty() && self.hand_on(cx)
    }

    /// Runs user code; a panic fails the chunk at hand, and `burst` is called again.
    fn guarded<R>(&mut self, mut burst: impl FnMut(&mut Self) -> R) -> R {
        loop {
            match catch_unwind(AssertUnwindSafe(|| burst(self))) {
                Ok(result) => return result,
                Err(panic) => self.recover(panic),
            }
        }
    }

    fn recover(&mut self, panic: Box<dyn Any + Send>) {
        let receipts = match self.slots.recover() {
            Broken::Call(receipts, _) => receipts,
            Broken::Readying => self.next_chunk().1,
            // Not the user's: the supervisor starts the worker again.
            Broken::Elsewhere => resume_unwind(panic),
        };
        self.fail_all(receipts, Failure::reject(Panicked::from_payload(panic)));
    }

    fn collect(&mut self) {
        let Self {
            slots, finished, ..
        } = self;
        slots.poll_woken(|receipts, _, result| finished.push((receipts, result)));
        self.finish_all();
    }

    fn finish_all(&mut self) {
        while let Some((receipts, result)) = self.finished.pop() {
            self.finish(receipts, result);
        }
    }

    fn next_chunk(&mut self) -> (Vec<T>, Vec<Receipt>) {
        let count = self.inbox.len().min(self.max);
        self.ports.stats.add_received(count);
        let chunk = self.inbox.drain(..count).map(Message::into_parts);
        chunk.unzip()
    }

    /// Hands finished messages on; whether all are, and there is room for more.
    fn hand_on(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            let clear = self.ports.failures.poll_clear(cx).is_ready();
            match self.ports.outlet.poll_room(cx) {
                Poll::Ready(0) => {
                    self.done.clear();
                    self.abandoned = true;
                    return false;
                }
                Poll::Ready(_) => {}
                Poll::Pending => return false,
            }
            if self.done.is_empty() {
                return clear;
            }
            let before = self.done.len();
            self.ports.outlet.accept(&mut self.done);
            self.ports.stats.add_sent(before - self.done.len());
        }
    }

    /// Starts one chunk; whether there was one to start.
    fn start(&mut self, cx: &mut Context<'_>) -> bool {
        // What is in hand is finished, even by a worker that is left without a share.
        let limit = self.share.max(usize::from(!self.inbox.is_empty()));
        if self.slots.running() >= limit || !self.fill(cx) {
            return false;
        }
        self.start_readied()
    }

    /// Starts the chunk at hand once a service is ready. One that was asked is asked until
    /// it answers, whatever there is room for: it may have been granted a permit.
    fn start_readied(&mut self) -> bool {
        let Poll::Ready(ready) = self.slots.free().poll_ready() else {
            return false;
        };
        let (payloads, receipts) = self.next_chunk();
        let Self {
            slots, finished, ..
        } = self;
        match ready {
            Ok(()) => {
                slots.free().call(payloads, receipts, |receipts, _, result| {
                    finished.push((receipts, result));
                });
            }
            Err(error) => finished.push((receipts, Err(error))),
        }
        self.finish_all();
        true
    }

    fn fill(&mut self, cx: &mut Context<'_>) -> bool {
        if self.inbox.is_empty() && !self.ended {
            match self.ports.inlet.poll_fill(self.max, &mut self.inbox, cx) {
                Poll::Ready(more) => self.ended = !more,
                Poll::Pending => return false,
            }
        }
        !self.inbox.is_empty()
    }

    fn finish(&mut self, receipts: Vec<Receipt>, result: Result<Vec<Result<U, E>>, S::Error>) {
        match result {
            Ok(results) => self.finish_each(receipts, results),
            Err(error) => self.fail_all(receipts, Failure::from_error(error)),
        }
    }

    fn fail_all(&mut self, receipts: Vec<Receipt>, failure: Failure) {
        let failures = &mut self.ports.failures;
        let outcome = failure.into_outcome(failures.stage());
        for receipt in receipts {
            failures.fail_as(receipt, outcome.clone());
        }
    }

    fn finish_each(&mut self, receipts: Vec<Receipt>, results: Vec<Result<U, E>>) {
        let mut results = results.into_iter();
        for (index, receipt) in receipts.into_iter().enumerate() {
            match results.next() {
                Some(Ok(payload)) => self.done.push_back(Message::new(payload, receipt)),
                Some(Err(error)) => self.ports.failures.fail(receipt, error),
                None => {
                    let missing = Failure::retry(MissingResult { index });
                    self.ports.failures.fail(receipt, missing);
                }
            }
        }
    }
}

impl<S> fmt::Debug for ChunkProcessor<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkProcessor")
            .field("name", &self.name)
            .field("max", &self.max)
            .finish_non_exhaustive()
    }
}
