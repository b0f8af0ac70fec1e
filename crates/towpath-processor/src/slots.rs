//! The slots of a worker: each holds one call in flight, its service and its waker.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, Waker},
};

use tower_service::Service;

use crate::ready_set::ReadySet;

/// A call that ended: what it was for, and how it ended.
pub(crate) type Finished<H, S, Q> = (H, Ended<<S as Service<Q>>::Response, <S as Service<Q>>::Error>);

/// How a call ended.
pub(crate) enum Ended<R, E> {
    Response(R),
    Error(E),
    Panic(Box<dyn std::any::Any + Send>),
}

/// The slots of one worker. Each owns a clone of the service for life.
pub(crate) struct Slots<S, Q, H>
where
    S: Service<Q>,
{
    prototype: S,
    slots: Vec<Slot<S, S::Future, H>>,
    free: Vec<usize>,
    ready: ReadySet,
    running: usize,
}

struct Slot<S, F, H> {
    service: S,
    /// Pinned once: a call is polled first where it will live.
    future: Pin<Box<Option<F>>>,
    held: Option<H>,
    waker: Waker,
}

impl<S, Q, H> Slots<S, Q, H>
where
    S: Service<Q> + Clone,
{
    pub(crate) fn new(prototype: S) -> Self {
        Self {
            prototype,
            slots: Vec::new(),
            free: Vec::new(),
            ready: ReadySet::default(),
            running: 0,
        }
    }

    /// How many calls are in flight.
    pub(crate) fn running(&self) -> usize {
        self.running
    }

    pub(crate) fn register(&self, waker: &Waker) {
        self.ready.register(waker);
    }

    /// Waits until the service of a free slot takes a call. Call it only with a message at
    /// hand: a service that is ready may hold a permit.
    pub(crate) fn poll_ready(&mut self) -> Poll<Result<usize, Option<S::Error>>> {
        let index = self.free_slot();
        let slot = &mut self.slots[index];
        let mut cx = Context::from_waker(&slot.waker);
        let polled = catch_unwind(AssertUnwindSafe(|| slot.service.poll_ready(&mut cx)));
        match polled {
            Ok(Poll::Ready(Ok(()))) => Poll::Ready(Ok(index)),
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(Err(error))) => {
                slot.service = self.prototype.clone();
                Poll::Ready(Err(Some(error)))
            }
            Err(_) => {
                slot.service = self.prototype.clone();
                Poll::Ready(Err(None))
            }
        }
    }

    fn free_slot(&mut self) -> usize {
        if let Some(&index) = self.free.last() {
            return index;
        }
        let index = self.slots.len();
        self.slots.push(Slot {
            service: self.prototype.clone(),
            future: Box::pin(None),
            held: None,
            waker: self.ready.waker(index),
        });
        self.free.push(index);
        index
    }

    /// Calls the service of the free slot `index` and polls the call once, in its place.
    pub(crate) fn start(&mut self, index: usize, request: Q, held: H) -> Option<Finished<H, S, Q>> {
        self.free.pop();
        self.running += 1;
        let slot = &mut self.slots[index];
        slot.held = Some(held);
        let called = catch_unwind(AssertUnwindSafe(|| slot.service.call(request)));
        match called {
            Ok(future) => {
                slot.future.set(Some(future));
                self.poll(index)
            }
            Err(panic) => self.finish(index, Ended::Panic(panic)),
        }
    }

    /// Polls the slots that were woken; `each` gets what ended.
    pub(crate) fn poll_woken(&mut self, mut each: impl FnMut(Finished<H, S, Q>)) {
        let mut word = 0;
        while let Some(woken) = self.ready.take(word) {
            for index in woken {
                if let Some(finished) = self.poll(index) {
                    each(finished);
                }
            }
            word += 1;
        }
    }

    fn poll(&mut self, index: usize) -> Option<Finished<H, S, Q>> {
        let slot = &mut self.slots[index];
        let Some(future) = slot.future.as_mut().as_pin_mut() else {
            return None;
        };
        let mut cx = Context::from_waker(&slot.waker);
        let ended = match catch_unwind(AssertUnwindSafe(|| future.poll(&mut cx))) {
            Ok(Poll::Pending) => return None,
            Ok(Poll::Ready(Ok(response))) => Ended::Response(response),
            Ok(Poll::Ready(Err(error))) => Ended::Error(error),
            Err(panic) => Ended::Panic(panic),
        };
        self.finish(index, ended)
    }

    fn finish(
        &mut self,
        index: usize,
        ended: Ended<S::Response, S::Error>,
    ) -> Option<Finished<H, S, Q>> {
        let slot = &mut self.slots[index];
        // What the future holds may panic when it goes; it is done with either way.
        let dropped = catch_unwind(AssertUnwindSafe(|| slot.future.set(None)));
        if matches!(ended, Ended::Panic(_)) || dropped.is_err() {
            slot.service = self.prototype.clone();
        }
        self.free.push(index);
        self.running -= 1;
        slot.held.take().map(|held| (held, ended))
    }
}

impl<S, Q, H> std::fmt::Debug for Slots<S, Q, H>
where
    S: Service<Q>,
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slots")
            .field("running", &self.running)
            .field("slots", &self.slots.len())
            .finish_non_exhaustive()
    }
}
