//! A processor over a whole chunk that answers for each message by its place.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    panic::AssertUnwindSafe,
    sync::Arc,
    task::{Context, Poll},
};

use towpath_core::{
    BoxError, Failure, FailureHook, Message, Origin, Outcome, Panicked, Ports, Receipt, Stage,
    StageInfo, StageName, Work,
};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    processor::cores,
    slots::{Ended, Slots},
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
        self.max = messages.max(1);
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
        StageInfo::new(self.name.clone(), "processor")
            .sized(cores().min(self.concurrency), self.concurrency)
            .note(format!("chunks of {}", self.max))
            .holding(self.max * self.concurrency)
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
            ended: false,
        };
        Box::pin(async move {
            poll_fn(|cx| worker.poll(cx)).await;
            worker.ports.control.finish();
        })
    }
}

struct ChunkWorker<T, U, S: Service<Vec<T>>> {
    index: usize,
    max: usize,
    ports: Ports<T, U>,
    slots: Slots<S, Vec<T>, Vec<Receipt>>,
    inbox: VecDeque<Message<T>>,
    done: VecDeque<Message<U>>,
    ended: bool,
}

impl<T, U, E, S> ChunkWorker<T, U, S>
where
    E: Into<BoxError>,
    S: Service<Vec<T>, Response = Vec<Result<U, E>>> + Clone,
    S::Error: Into<BoxError>,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.slots.register(cx.waker());
        let mut finished = Vec::new();
        self.slots.poll_woken(|chunk| finished.push(chunk));
        finished.into_iter().for_each(|(r, e)| self.finish(r, e));
        while self.hand_on(cx) && self.start(cx) {}
        self.ports.outlet.flush();
        let over = self.ended || self.ports.control.is_finished();
        let idle = self.slots.running() == 0 && self.inbox.is_empty();
        if over && idle && self.hand_on(cx) {
            return self.ports.outlet.poll_drained(cx);
        }
        self.ports.inlet.offer_back(&mut self.inbox);
        if self.slots.running() >= self.ports.control.share(self.index) {
            self.ports.control.on_change(self.index, cx.waker());
            self.ports.inlet.stop_waiting();
        }
        Poll::Pending
    }

    /// Hands finished messages on; whether all are, and there is room for more.
    fn hand_on(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            let clear = self.ports.failures.poll_clear(cx).is_ready();
            match self.ports.outlet.poll_room(cx) {
                Poll::Ready(0) => self.done.clear(),
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
        if self.slots.running() >= self.ports.control.share(self.index) || !self.fill(cx) {
            return false;
        }
        let Poll::Ready(ready) = self.slots.poll_ready() else {
            return false;
        };
        let count = self.inbox.len().min(self.max);
        self.ports.stats.add_received(count);
        let chunk = self.inbox.drain(..count).map(Message::into_parts);
        let (payloads, receipts): (Vec<T>, Vec<Receipt>) = chunk.unzip();
        let ended = match ready {
            Ok(slot) => self.slots.start(slot, payloads, receipts),
            Err(Some(error)) => Some((receipts, Ended::Error(error))),
            Err(None) => Some((receipts, Ended::Panic(Box::new("poll_ready panicked")))),
        };
        if let Some((receipts, ended)) = ended {
            self.finish(receipts, ended);
        }
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

    fn finish(&mut self, receipts: Vec<Receipt>, ended: Ended<Vec<Result<U, E>>, S::Error>) {
        let failures = &mut self.ports.failures;
        match ended {
            Ended::Response(results) => self.finish_each(receipts, results),
            Ended::Error(error) => {
                let failure = Failure::from_error(error);
                let outcome = failure.into_outcome(failures.stage());
                for receipt in receipts {
                    failures.fail_as(receipt, outcome.clone());
                }
            }
            Ended::Panic(panic) => {
                let panicked = Panicked::from_payload(panic);
                for receipt in receipts {
                    failures.fail(receipt, panicked.clone());
                }
            }
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
        // Surplus results belong to nobody; what they hold must not panic the worker.
        drop(std::panic::catch_unwind(AssertUnwindSafe(|| drop(results))));
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
