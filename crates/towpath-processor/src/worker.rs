//! The loop of a processor's worker.
//!
//! One poll: collect what the slots have finished, hand it on, start what there is
//! room for, and park. Slots are polled whatever else the worker waits for.

mod finish;

use std::{
    any::Any,
    collections::VecDeque,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    task::{Context, Poll},
};

use tokio::task::coop;
use tower_service::Service;
use towpath_core::{BoxError, Message, Ports};

use self::finish::{InFlight, expand, finish};
use crate::{
    Carry, Discipline, Reply,
    in_time::InTime,
    meter::Meter,
    slots::{Broken, Slots},
};

/// The least a worker asks an inlet for, however few slots it has.
const EAGER: usize = 64;

/// One worker of a processor.
pub(crate) struct Worker<T, U, S, C, X, D, const SCOPED: bool>
where
    C: Carry<T>,
    S: Service<C::Request>,
    D: Discipline<T, S::Response>,
{
    index: usize,
    ports: Ports<T, U>,
    slots: Slots<S, C::Request, InFlight<D, T, S::Response>, SCOPED>,
    discipline: D,
    reply: Arc<X>,
    /// The context of calls, and the deadline of the pipeline.
    in_time: InTime,
    inbox: VecDeque<Message<T>>,
    done: VecDeque<Message<U>>,
    /// How many messages to ask a fused inlet for: more while calls are ready at once.
    want: usize,
    ended: bool,
    /// Nobody takes the results any more: what comes in goes back to its source.
    abandoned: bool,
    /// Its part of the limit, as it saw it last. Without one it finishes what it has, one by
    /// one, and takes no more.
    share: usize,
    started: usize,
    /// Of those, the messages that the stage has counted.
    counted: usize,
    meter: Meter,
}

impl<T, U, S, C, X, D, const SCOPED: bool> Worker<T, U, S, C, X, D, SCOPED>
where
    C: Carry<T>,
    S: Service<C::Request> + Clone,
    S::Error: Into<BoxError>,
    X: Reply<S::Response, Out = U>,
    D: Discipline<T, S::Response>,
{
    pub(crate) fn new(
        index: usize,
        service: S,
        reply: Arc<X>,
        discipline: D,
        ports: Ports<T, U>,
    ) -> Self {
        let in_time = InTime::new(ports.failures.context());
        let slots = Slots::new(ports.failures.stage().clone(), service);
        let meter = Meter::new(ports.failures.context(), ports.stats.clone());
        Self {
            index,
            ports,
            slots,
            in_time,
            discipline,
            reply,
            inbox: VecDeque::new(),
            done: VecDeque::new(),
            want: 1,
            ended: false,
            abandoned: false,
            share: 0,
            started: 0,
            counted: 0,
            meter,
        }
    }

    /// Runs until the inlet has ended and everything is handed on.
    pub(crate) async fn run(mut self) {
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
            self.guarded(Self::start_readied);
            self.count_received();
        }
        let mut room;
        loop {
            room = self.hand_on(cx);
            self.share = self.ports.control.share(self.index);
            // Once per chunk: an async-channel that is always ready never yields by itself.
            let Poll::Ready(budget) = coop::poll_proceed(cx) else {
                break;
            };
            budget.made_progress();
            if room == 0 {
                break;
            }
            // A message that failed unstarted has left a letter, to be handed on first.
            if !self.start(room, cx) && self.ports.failures.is_clear() {
                break;
            }
        }
        self.ports.outlet.flush();
        if self.slots.running() >= self.share {
            let control = &self.ports.control;
            control.watch(self.index, self.share, cx.waker());
        }
        if self.is_finished(cx) {
            return Poll::Ready(());
        }
        self.park(room);
        Poll::Pending
    }

    /// Runs user code, guarded once for many messages: a panic fails the one at hand, and
    /// `burst` is called again for the rest.
    fn guarded<R>(&mut self, mut burst: impl FnMut(&mut Self) -> R) -> R {
        loop {
            match catch_unwind(AssertUnwindSafe(|| burst(self))) {
                Ok(result) => return result,
                Err(panic) => self.recover(panic),
            }
        }
    }

    #[cold]
    fn recover(&mut self, panic: Box<dyn Any + Send>) {
        let running = self.slots.running();
        let (receipt, ticket) = match self.slots.recover() {
            Broken::Call(held) => held,
            Broken::Readying => match self.discipline.next(&mut self.inbox) {
                Some((message, ticket)) => {
                    self.started += 1;
                    (message.into_parts().1, ticket)
                }
                None => return,
            },
            // Not the user's: the supervisor starts the worker again.
            Broken::Elsewhere => resume_unwind(panic),
        };
        if self.slots.running() == running {
            self.meter.skip();
        }
        let Self {
            discipline,
            reply,
            ports,
            done,
            ..
        } = self;
        ports.failures.panicked(receipt, panic);
        // The end of this message may be what others have waited for.
        let stats = &ports.stats;
        let emit = &mut |response, receipt| expand(&**reply, response, receipt, done, stats);
        discipline.finish(ticket, None, &mut ports.failures, emit);
    }

    /// Takes the results of the slots that were woken.
    fn collect(&mut self) {
        let Self {
            slots,
            discipline,
            reply,
            ports,
            done,
            meter,
            ..
        } = self;
        slots.poll_woken(|held, began, result| {
            meter.end(began);
            finish(
                held,
                result,
                discipline,
                &**reply,
                &mut ports.failures,
                done,
                &ports.stats,
            );
        });
    }

    /// Hands finished messages on; tells how many more there is room for.
    fn hand_on(&mut self, cx: &mut Context<'_>) -> usize {
        if self.ports.failures.poll_clear(cx).is_pending() {
            return 0;
        }
        loop {
            let room = match self.ports.outlet.poll_room(cx) {
                Poll::Ready(0) => {
                    self.ports.stats.add_given_back(self.done.len());
                    self.done.clear();
                    self.abandoned = true;
                    return 0;
                }
                Poll::Ready(room) => room,
                Poll::Pending => return 0,
            };
            if self.done.is_empty() {
                return room;
            }
            let before = self.done.len();
            self.ports.outlet.accept(&mut self.done);
            self.ports.stats.add_sent(before - self.done.len());
        }
    }

    /// Starts messages while there is room for their results; whether any was.
    fn start(&mut self, room: usize, cx: &mut Context<'_>) -> bool {
        let limit = self.share.max(usize::from(!self.inbox.is_empty()));
        let before = self.started;
        self.guarded(|worker| worker.start_burst(limit, room, cx));
        self.count_received();
        self.started > before
    }

    fn count_received(&mut self) {
        self.ports.stats.add_received(self.started - self.counted);
        self.counted = self.started;
    }

    fn start_burst(&mut self, limit: usize, room: usize, cx: &mut Context<'_>) {
        while self.may_start(limit, room) && self.has_next(limit, cx) {
            if !self.start_some(limit.max(room) - self.slots.running()) {
                return;
            }
        }
    }

    /// Asks again a service that was not ready, whatever there is room for now: the result
    /// of its message was given a place when it was first asked.
    #[cold]
    fn start_readied(&mut self) {
        if self.slots.is_readying() {
            self.start_some(0);
        }
    }

    #[inline]
    fn start_some(&mut self, room: usize) -> bool {
        if self.meter.is_each() {
            return self.start_one();
        }
        self.start_in_one_slot(room)
    }

    /// Starts one message, and times its call by itself.
    fn start_one(&mut self) -> bool {
        let before = self.started;
        let uncounted = self.meter.begin_call();
        let ready = self.start_in_one_slot(0);
        if self.started > before {
            self.meter.ended(uncounted);
        }
        ready
    }

    /// Starts a message, and more in the same slot while their calls end at once and fewer
    /// than `room` results wait; whether the service was ready.
    #[expect(
        clippy::too_many_lines,
        reason = "the way of every message: in parts, each would cost copies of payloads"
    )]
    fn start_in_one_slot(&mut self, room: usize) -> bool {
        let Self {
            slots,
            discipline,
            reply,
            inbox,
            done,
            ports,
            in_time,
            meter,
            ..
        } = self;
        let (failures, stats) = (&mut ports.failures, &ports.stats);
        let mut slot = slots.free();
        loop {
            let Poll::Ready(ready) = slot.poll_ready() else {
                return false;
            };
            let Some((message, ticket)) = discipline.next(inbox) else {
                return true;
            };
            self.started += 1;
            let (payload, receipt) = message.into_parts();
            if SCOPED {
                match in_time.begin(&receipt) {
                    Ok(context) => slot.set_context(context),
                    Err(late) => {
                        slot.unready();
                        meter.skip();
                        let (held, late) = ((receipt, ticket), Err::<S::Response, _>(late));
                        finish(held, late, discipline, &**reply, failures, done, stats);
                        return true;
                    }
                }
            }
            // Apart to the end: a way that leads back costs the others 20 instructions.
            if receipt.is_traced() && ready.is_ok() {
                let request = C::carry(payload, &receipt);
                match slot.call_traced(request, (receipt, ticket)) {
                    Some((held, result)) => {
                        finish(held, result, discipline, &**reply, failures, done, stats);
                    }
                    None => slot.began(meter.pending()),
                }
                return true;
            }
            let mut end = |held, result| {
                finish(held, result, discipline, &**reply, failures, done, stats);
            };
            let ended = match ready {
                Ok(()) => {
                    let request = C::carry(payload, &receipt);
                    slot.call(request, (receipt, ticket), end)
                }
                Err(error) => {
                    meter.skip();
                    end((receipt, ticket), Err(error));
                    true
                }
            };
            if !ended {
                if meter.is_on() {
                    slot.began(meter.pending());
                }
                return true;
            }
            let next = done.len() + discipline.untaken() < room && failures.is_clear();
            if !(next && discipline.has_next(inbox, failures)) {
                return true;
            }
        }
    }

    /// A result must always have a place: its slot, or the room that was granted.
    fn may_start(&self, limit: usize, room: usize) -> bool {
        let running = self.slots.running();
        let untaken = self.done.len() + self.discipline.untaken();
        running < limit && running + untaken < limit.max(room) && self.ports.failures.is_clear()
    }

    fn has_next(&mut self, limit: usize, cx: &mut Context<'_>) -> bool {
        loop {
            let failures = &mut self.ports.failures;
            if self.discipline.has_next(&mut self.inbox, failures) {
                return true;
            }
            if self.ended || self.share == 0 || !self.inbox.is_empty() || !failures.is_clear() {
                return false;
            }
            let idle = limit - self.slots.running();
            self.want = self.want.max(idle).min(EAGER.max(limit));
            match self.ports.inlet.poll_fill(self.want, &mut self.inbox, cx) {
                Poll::Ready(true) => self.want = self.want.saturating_mul(2),
                Poll::Ready(false) => self.ended = true,
                Poll::Pending => return false,
            }
        }
    }

    fn is_finished(&mut self, cx: &mut Context<'_>) -> bool {
        let empty = self.inbox.is_empty() && self.done.is_empty() && self.discipline.waiting() == 0;
        let over = empty && (self.ended || self.ports.control.is_finished());
        self.slots.running() == 0
            && (over || self.abandoned)
            && self.ports.failures.poll_clear(cx).is_ready()
            && self.ports.outlet.poll_drained(cx).is_ready()
    }

    /// Lets others have what this worker cannot use while it waits.
    ///
    /// It waits for room or for messages, never for neither: `room` is what it saw last.
    fn park(&mut self, room: usize) {
        if self.slots.running() > 0 {
            self.want = 1;
        }
        // What a service is being readied for stays: it must be called once it is ready.
        let readying = self.slots.is_readying();
        let kept = readying.then(|| self.inbox.pop_front()).flatten();
        self.ports.inlet.offer_back(&mut self.inbox);
        if let Some(message) = kept {
            self.inbox.push_front(message);
        }
        let unstarted = self.discipline.waiting() - self.discipline.untaken();
        self.ports.inlet.keeps(self.inbox.len() + unstarted);
        if self.slots.running() >= self.share || room == 0 {
            self.ports.inlet.stop_waiting();
        }
    }
}

impl<T, U, S, C, X, D, const SCOPED: bool> Drop for Worker<T, U, S, C, X, D, SCOPED>
where
    C: Carry<T>,
    S: Service<C::Request>,
    D: Discipline<T, S::Response>,
{
    /// What it still has goes back to its source, with the attempts that were made.
    fn drop(&mut self) {
        self.slots.give_up();
        let stats = &self.ports.stats;
        stats.add_received(self.started - self.counted);
        let in_hand = self.slots.running() + self.done.len() + self.discipline.results();
        stats.add_given_back(in_hand);
    }
}
