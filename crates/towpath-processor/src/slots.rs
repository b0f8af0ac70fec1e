//! The slots of a worker: each holds one call in flight, its service and its waker.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tower_service::Service;
use towpath_core::StageName;
use towpath_policy::context::{self, CallContext};

use crate::{ready_set::ReadySet, traced::Traced};

/// The slots of one worker. Each owns a clone of the service for life.
///
/// `SCOPED` calls run in a context, which code deep in them can read; a type's matter, so
/// that the others pay nothing for it.
///
/// User code runs here unguarded: the worker catches a panic once per burst of calls
/// and asks [`recover`](Self::recover) whose it was.
pub(crate) struct Slots<S, Q, H, const SCOPED: bool>
where
    S: Service<Q>,
{
    stage: StageName,
    prototype: S,
    all: Vec<Slot<S, S::Future, H>>,
    free: Vec<usize>,
    ready: ReadySet,
    running: usize,
    /// Whether the last free slot was asked whether it is ready, and has not answered yet.
    readying: bool,
    /// The slot whose user code runs now.
    touched: Option<usize>,
    /// Woken slots that are still to be polled, after a panic in one before them.
    woken: Vec<usize>,
}

/// What a call in flight is held for.
pub(crate) trait Held {
    /// Attempts were made in place, beyond the first.
    fn tried_again(&mut self, extra: u32);

    /// Begins the span of the call, where a message of it is traced.
    fn begin_trace(&self, stage: &StageName) -> Option<Traced>;

    /// The call has gone well, and so has the work on its message. Nothing, where each of
    /// several messages has an answer of its own.
    fn end_trace(&self) {}
}

/// What a call was for, and what it came to.
pub(crate) type Ended<H, R, E> = (H, Result<R, E>);

/// Whose panic it was.
pub(crate) enum Broken<H> {
    /// A call, and what it was for.
    Call(H),
    /// A service that was asked whether it is ready: the message is not taken yet.
    Readying,
    /// No user code in a slot.
    Elsewhere,
}

/// A slot without a call: it takes one call after the other, until one does not end at once.
pub(crate) struct Free<'a, S, Q, H, const SCOPED: bool>
where
    S: Service<Q>,
{
    index: usize,
    stage: &'a StageName,
    slot: &'a mut Slot<S, S::Future, H>,
    prototype: &'a S,
    list: &'a mut Vec<usize>,
    running: &'a mut usize,
    readying: &'a mut bool,
    touched: &'a mut Option<usize>,
}

struct Slot<S, F, H> {
    service: S,
    /// Pinned once: a call is polled first where it will live.
    future: Pin<Box<Option<F>>>,
    held: Option<H>,
    context: CallContext,
    /// Which attempt the call began as.
    began_as: u32,
    /// When the call began, where calls are timed.
    began: Duration,
    traced: Option<Traced>,
    waker: Waker,
}

impl<S, Q, H, const SCOPED: bool> Slots<S, Q, H, SCOPED>
where
    S: Service<Q>,
    H: Held,
{
    /// How many calls are in flight.
    #[inline]
    pub(crate) fn running(&self) -> usize {
        self.running
    }

    /// What the calls in flight are for.
    pub(crate) fn held(&self) -> impl Iterator<Item = &H> {
        self.all.iter().filter_map(|slot| slot.held.as_ref())
    }

    /// Tells what the calls in flight are for which attempts they came to: they are given up.
    pub(crate) fn give_up(&mut self) {
        if SCOPED {
            self.all.iter_mut().for_each(Slot::count_attempts);
        }
    }
}

impl<S, Q, H, const SCOPED: bool> Slots<S, Q, H, SCOPED>
where
    S: Service<Q> + Clone,
    H: Held,
{
    pub(crate) fn new(stage: StageName, prototype: S) -> Self {
        Self {
            stage,
            prototype,
            all: Vec::new(),
            free: Vec::new(),
            ready: ReadySet::default(),
            running: 0,
            readying: false,
            touched: None,
            woken: Vec::new(),
        }
    }

    /// Whether a service was asked whether it is ready, and has not answered yet.
    ///
    /// It may be granted a permit at any time, so it must be asked until it answers, and
    /// then called: a permit that nobody uses is one that others wait for.
    #[inline]
    pub(crate) fn is_readying(&self) -> bool {
        self.readying
    }

    pub(crate) fn register(&self, waker: &Waker) {
        self.ready.register(waker);
    }

    /// A slot without a call. A service that is being readied is in the slot it gives.
    #[inline]
    pub(crate) fn free(&mut self) -> Free<'_, S, Q, H, SCOPED> {
        let index = self.free_slot();
        Free {
            index,
            stage: &self.stage,
            slot: &mut self.all[index],
            prototype: &self.prototype,
            list: &mut self.free,
            running: &mut self.running,
            readying: &mut self.readying,
            touched: &mut self.touched,
        }
    }

    #[inline]
    fn free_slot(&mut self) -> usize {
        match self.free.last() {
            Some(&index) => index,
            None => self.add_slot(),
        }
    }

    #[cold]
    fn add_slot(&mut self) -> usize {
        let index = self.all.len();
        self.all.push(Slot {
            service: self.prototype.clone(),
            future: Box::pin(None),
            held: None,
            context: CallContext::default(),
            began_as: 1,
            began: Duration::ZERO,
            traced: None,
            waker: self.ready.waker(index),
        });
        self.free.push(index);
        index
    }

    /// Polls the slots that were woken; `each` gets what ended, with when it began.
    pub(crate) fn poll_woken(
        &mut self,
        mut each: impl FnMut(H, Duration, Result<S::Response, S::Error>),
    ) {
        let mut word = 0;
        while let Some(bits) = self.ready.take(word) {
            self.woken.extend(bits);
            word += 1;
        }
        while let Some(index) = self.woken.pop() {
            self.touched = Some(index);
            let slot = &mut self.all[index];
            let ended = slot.poll::<SCOPED>();
            self.touched = None;
            if let Some(result) = ended
                && let Some(held) = slot.take::<SCOPED>()
            {
                let began = slot.began;
                self.set_free(index);
                each(held, began, result);
            }
        }
    }

    fn release(&mut self, index: usize) -> Option<H> {
        let held = self.all[index].take::<SCOPED>()?;
        // A call that has just been started has not left the list yet, and is its last.
        if self.free.last() != Some(&index) {
            self.set_free(index);
        }
        Some(held)
    }

    #[inline]
    fn set_free(&mut self, index: usize) {
        self.free.push(index);
        self.running -= 1;
        self.keep_readying_last();
    }

    /// The slot that is to be asked again stays the last, behind one that was just freed.
    #[inline]
    fn keep_readying_last(&mut self) {
        if self.readying
            && let [.., readying, freed] = &mut self.free[..]
        {
            std::mem::swap(readying, freed);
        }
    }

    /// Something has panicked: tells whose user code it was, and gives its slot a new service.
    #[cold]
    pub(crate) fn recover(&mut self) -> Broken<H> {
        let Some(index) = self.touched.take() else {
            return Broken::Elsewhere;
        };
        let slot = &mut self.all[index];
        self.readying &= slot.held.is_some();
        // A new box: what is left of the future may panic again when it goes, and the
        // pinned place is not to be used after that.
        let broken = std::mem::replace(&mut slot.future, Box::pin(None));
        slot.service = self.prototype.clone();
        drop(std::panic::catch_unwind(std::panic::AssertUnwindSafe(
            || drop(broken),
        )));
        self.release(index).map_or(Broken::Readying, Broken::Call)
    }
}

impl<S, Q, H, const SCOPED: bool> Free<'_, S, Q, H, SCOPED>
where
    S: Service<Q> + Clone,
    H: Held,
{
    /// Waits until the service takes a call. Ask only with a message at hand: a service
    /// that is ready may hold a permit.
    #[inline]
    pub(crate) fn poll_ready(&mut self) -> Poll<Result<(), S::Error>> {
        *self.touched = Some(self.index);
        let mut cx = Context::from_waker(&self.slot.waker);
        let polled = self.slot.service.poll_ready(&mut cx);
        if let Poll::Ready(Err(_)) = &polled {
            self.slot.service = self.prototype.clone();
        }
        *self.touched = None;
        *self.readying = polled.is_pending();
        polled
    }

    /// Calls the service and polls the call once, in its place; whether it ended at once.
    ///
    /// `each` gets the result then: such a call touches no list, and the slot is still free.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "saves copies of payloads: 60 instructions a message"
    )]
    pub(crate) fn call(
        &mut self,
        request: Q,
        held: H,
        each: impl FnOnce(H, Result<S::Response, S::Error>),
    ) -> bool {
        *self.touched = Some(self.index);
        let before = self.slot.held.replace(held);
        debug_assert!(before.is_none(), "a free slot holds nothing");
        // Nothing to drop, and the compiler cannot know: 9 instructions a message.
        std::mem::forget(before);
        let ended = self.slot.start::<Q, SCOPED>(request);
        *self.touched = None;
        let Some(result) = ended else {
            self.set_running();
            return false;
        };
        if let Some(held) = self.slot.take::<SCOPED>() {
            each(held, result);
        }
        true
    }

    /// As [`call`](Self::call), in the span of the call; gives the result if there is one at
    /// once.
    #[cold]
    #[inline(never)]
    pub(crate) fn call_traced(
        &mut self,
        request: Q,
        held: H,
    ) -> Option<Ended<H, S::Response, S::Error>> {
        *self.touched = Some(self.index);
        // In its slot first: should the tracer panic, it is this message that fails.
        let traced = self.slot.held.insert(held).begin_trace(self.stage);
        let entered = traced.as_ref().map(Traced::enter);
        let ended = self.slot.start::<Q, SCOPED>(request);
        drop(entered);
        self.slot.keep_trace(traced, ended.as_ref());
        *self.touched = None;
        let Some(result) = ended else {
            self.set_running();
            return None;
        };
        Some((self.slot.take::<SCOPED>()?, result))
    }

    #[inline]
    fn set_running(&mut self) {
        self.list.pop();
        *self.running += 1;
    }

    /// The call has not ended at once, and began then.
    #[inline]
    pub(crate) fn began(&mut self, at: Duration) {
        self.slot.began = at;
    }

    /// The context of the next call.
    #[inline]
    pub(crate) fn set_context(&mut self, context: CallContext) {
        self.slot.began_as = context.attempt;
        self.slot.context = context;
    }

    /// Gives back what the service was readied with: it is not called.
    #[cold]
    pub(crate) fn unready(&mut self) {
        *self.touched = Some(self.index);
        self.slot.service = self.prototype.clone();
        *self.touched = None;
    }
}

impl<S, F, H: Held> Slot<S, F, H> {
    /// What the call was for, with the attempts that it came to.
    #[inline]
    fn take<const SCOPED: bool>(&mut self) -> Option<H> {
        if SCOPED {
            self.count_attempts();
        }
        self.held.take()
    }

    fn count_attempts(&mut self) {
        let extra = self.context.attempt.saturating_sub(self.began_as);
        if let (Some(held), 1..) = (&mut self.held, extra) {
            held.tried_again(extra);
        }
    }
}

impl<S, F, H, T, E> Slot<S, F, H>
where
    F: Future<Output = Result<T, E>>,
    H: Held,
{
    /// Calls the service, and polls the call once, in its place; its result when it has ended.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "saves copies of payloads: 60 instructions a message"
    )]
    fn start<Q, const SCOPED: bool>(&mut self, request: Q) -> Option<F::Output>
    where
        S: Service<Q, Future = F>,
    {
        let Self {
            service,
            context,
            future,
            waker,
            ..
        } = self;
        let run = || {
            future.set(Some(service.call(request)));
            poll_in_place(future, waker)
        };
        if SCOPED {
            context::scope(context, run)
        } else {
            run()
        }
    }

    /// Polls the call, if one is in flight; its result when it has ended.
    #[inline]
    fn poll<const SCOPED: bool>(&mut self) -> Option<F::Output> {
        if self.traced.is_some() {
            self.poll_traced::<SCOPED>()
        } else {
            self.poll_untraced::<SCOPED>()
        }
    }

    #[cold]
    #[inline(never)]
    fn poll_traced<const SCOPED: bool>(&mut self) -> Option<F::Output> {
        let traced = self.traced.take();
        let entered = traced.as_ref().map(Traced::enter);
        let ended = self.poll_untraced::<SCOPED>();
        drop(entered);
        self.keep_trace(traced, ended.as_ref());
        ended
    }

    /// A call that has gone well ends its span here; one that fails, where its error is read.
    fn keep_trace(&mut self, traced: Option<Traced>, ended: Option<&F::Output>) {
        match (ended, &self.held) {
            (None, _) => self.traced = traced,
            (Some(Ok(_)), Some(held)) => held.end_trace(),
            _ => {}
        }
    }

    #[inline]
    fn poll_untraced<const SCOPED: bool>(&mut self) -> Option<F::Output> {
        let Self {
            future,
            waker,
            context,
            ..
        } = self;
        if SCOPED {
            context::scope(context, || poll_in_place(future, waker))
        } else {
            poll_in_place(future, waker)
        }
    }
}

/// Polls a call where it lives, and drops it when it has ended.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "saves copies of payloads: 60 instructions a message"
)]
fn poll_in_place<F: Future>(future: &mut Pin<Box<Option<F>>>, waker: &Waker) -> Option<F::Output> {
    let call = future.as_mut().as_pin_mut()?;
    let mut cx = Context::from_waker(waker);
    let Poll::Ready(result) = call.poll(&mut cx) else {
        return None;
    };
    future.set(None);
    Some(result)
}

impl<S, Q, H, const SCOPED: bool> std::fmt::Debug for Slots<S, Q, H, SCOPED>
where
    S: Service<Q>,
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slots")
            .field("running", &self.running)
            .field("slots", &self.all.len())
            .finish_non_exhaustive()
    }
}
