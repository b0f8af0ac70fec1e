//! The loop of a chunk processor's worker.

use std::{
    any::Any,
    collections::VecDeque,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    task::{Context, Poll},
};

use tower_service::Service;
use towpath_core::{BoxError, Failure, Message, Panicked, Ports, Receipt};

use super::chunk::{Chunk, cut_short, is_late};
use crate::{
    in_time::InTime,
    meter::Meter,
    policy::read_error,
    slots::{Broken, Slots},
    traced,
};

/// A chunk processor answered for fewer messages than it was given.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the chunk processor gave no result for message {index} of the chunk")]
struct MissingResult {
    index: usize,
}

/// The receipts of a chunk, and what its call came to.
type Finished<R, E> = (Vec<Receipt>, Result<R, E>);

/// One worker of a chunk processor.
pub(super) struct ChunkWorker<T, U, S: Service<Vec<T>>, const SCOPED: bool> {
    index: usize,
    max: usize,
    ports: Ports<T, U>,
    slots: Slots<S, Vec<T>, Vec<Receipt>, SCOPED>,
    /// The context of calls, and the deadline of the pipeline.
    in_time: InTime,
    inbox: VecDeque<Message<T>>,
    done: VecDeque<Message<U>>,
    /// Kept here while others are polled: a panic of one loses no other.
    finished: Vec<Finished<S::Response, S::Error>>,
    ended: bool,
    /// Nobody takes the results any more: what comes in goes back to its source.
    abandoned: bool,
    /// Its part of the limit, as it saw it last.
    share: usize,
    /// How many chunks were started.
    started: usize,
    meter: Meter,
}

impl<T, U, E, S, const SCOPED: bool> ChunkWorker<T, U, S, SCOPED>
where
    E: Into<BoxError>,
    S: Service<Vec<T>, Response = Vec<Result<U, E>>> + Clone,
    S::Error: Into<BoxError>,
{
    pub(super) fn new(index: usize, service: S, max: usize, ports: Ports<T, U>) -> Self {
        let in_time = InTime::new(ports.failures.context());
        let slots = Slots::new(ports.failures.stage().clone(), service);
        let meter = Meter::new(ports.failures.context(), ports.stats.clone());
        Self {
            index,
            max,
            ports,
            slots,
            in_time,
            inbox: VecDeque::new(),
            done: VecDeque::new(),
            finished: Vec::new(),
            ended: false,
            abandoned: false,
            share: 0,
            started: 0,
            meter,
        }
    }

    /// Runs until the inlet has ended and everything is handed on.
    pub(super) async fn run(mut self) {
        poll_fn(|cx| self.poll(cx)).await;
        self.ports.control.finish();
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.meter.begin_pass(self.started);
        let polled = self.pass(cx);
        let in_use = self.slots.running() + usize::from(self.slots.is_readying());
        self.meter.end_pass(self.started, in_use);
        polled
    }

    fn pass(&mut self, cx: &mut Context<'_>) -> Poll<()> {
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
        self.ports.inlet.keeps(self.inbox.len());
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
        let running = self.slots.running();
        let receipts = match self.slots.recover() {
            Broken::Call(receipts) => receipts,
            Broken::Readying => self.next_chunk().receipts,
            // Not the user's: the supervisor starts the worker again.
            Broken::Elsewhere => resume_unwind(panic),
        };
        if self.slots.running() == running {
            self.meter.skip();
        }
        self.ports.stats.add_panicked(receipts.len());
        self.fail_all(receipts, Panicked::from_payload(panic));
    }

    fn collect(&mut self) {
        let Self {
            slots,
            finished,
            meter,
            ..
        } = self;
        slots.poll_woken(|receipts, began, result| {
            meter.end(began);
            finished.push((receipts, result));
        });
        self.finish_all();
    }

    fn finish_all(&mut self) {
        while let Some((receipts, result)) = self.finished.pop() {
            self.finish(receipts, result);
        }
    }

    /// The next chunk; messages that are too late are left out of it and have failed.
    fn next_chunk(&mut self) -> Chunk<T> {
        let count = self.inbox.len().min(self.max);
        self.started += 1;
        self.ports.stats.add_received(count);
        let messages = self.inbox.drain(..count);
        if SCOPED {
            Chunk::in_time(messages, self.in_time, &mut self.ports.failures)
        } else {
            Chunk::of(messages)
        }
    }

    /// Hands finished messages on; whether all are, and there is room for more.
    fn hand_on(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            let clear = self.ports.failures.poll_clear(cx).is_ready();
            match self.ports.outlet.poll_room(cx) {
                Poll::Ready(0) => {
                    self.ports.stats.add_given_back(self.done.len());
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
        let chunk = self.next_chunk();
        let Self {
            slots,
            finished,
            meter,
            ..
        } = self;
        let uncounted = meter.is_each().then(|| meter.begin_call());
        let mut slot = slots.free();
        let ended = match ready {
            Ok(()) if chunk.receipts.is_empty() => {
                slot.unready();
                false
            }
            Ok(()) => {
                slot.set_context(chunk.context);
                slot.began(meter.begun());
                if chunk.receipts.iter().any(Receipt::is_traced) {
                    let ended = slot.call_traced(chunk.payloads, chunk.receipts);
                    let before = finished.len();
                    finished.extend(ended);
                    finished.len() > before
                } else {
                    slot.call(chunk.payloads, chunk.receipts, |receipts, result| {
                        finished.push((receipts, result));
                    })
                }
            }
            Err(error) => {
                finished.push((chunk.receipts, Err(error)));
                false
            }
        };
        if !ended {
            meter.skip();
        }
        if let Some(uncounted) = uncounted {
            meter.ended(uncounted);
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
            Err(error) => self.fail_all(receipts, read_error(error.into())),
        }
    }

    fn fail_all(&mut self, receipts: Vec<Receipt>, error: impl Into<BoxError>) {
        let error = error.into();
        let failures = &mut self.ports.failures;
        let over = self.in_time.is_limited() && cut_short(&receipts, &error);
        for receipt in &receipts {
            traced::end_failed(receipt, &error);
        }
        let in_time = |receipt: &Receipt| over && !is_late(receipt);
        let (again, failed): (Vec<_>, Vec<_>) = receipts.into_iter().partition(in_time);
        for receipt in again {
            failures.give_back(receipt);
        }
        failures.fail_all(failed, Failure::from_error(error));
    }

    fn finish_each(&mut self, receipts: Vec<Receipt>, results: Vec<Result<U, E>>) {
        let mut results = results.into_iter();
        for (index, receipt) in receipts.into_iter().enumerate() {
            match results.next() {
                Some(Ok(payload)) => {
                    traced::end(&receipt);
                    self.done.push_back(Message::new(payload, receipt));
                }
                Some(Err(error)) => {
                    let error = error.into();
                    traced::end_failed(&receipt, &error);
                    self.ports.failures.fail(receipt, error);
                }
                None => {
                    let missing = Failure::retry(MissingResult { index });
                    self.ports.failures.fail(receipt, missing);
                }
            }
        }
    }
}

impl<T, U, S: Service<Vec<T>>, const SCOPED: bool> Drop for ChunkWorker<T, U, S, SCOPED> {
    /// What it still has goes back to its source, with the attempts that were made.
    fn drop(&mut self) {
        self.slots.give_up();
        let running: usize = self.slots.held().map(Vec::len).sum();
        let finished: usize = self
            .finished
            .iter()
            .map(|(receipts, _)| receipts.len())
            .sum();
        let in_hand = running + finished + self.done.len();
        self.ports.stats.add_given_back(in_hand);
    }
}
