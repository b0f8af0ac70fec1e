//! The loop of a processor's worker.
//!
//! One poll: collect what the slots have finished, hand it on, start what there is
//! room for, and park. Slots are polled whatever else the worker waits for.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::task::coop;
use towpath_core::{BoxError, FailureRoute, Message, Ports, Receipt};
use tower_service::Service;

use crate::{
    Carry, Discipline, Reply,
    slots::{Ended, Slots},
};

/// The least a worker asks an inlet for, however few slots it has.
const EAGER: usize = 64;

/// What a call in flight is held for.
type Held<D, T, R> = (Receipt, <D as Discipline<T, R>>::Ticket);

/// One worker of a processor.
pub(crate) struct Worker<T, U, S, C, X, D>
where
    C: Carry<T>,
    S: Service<C::Request>,
    D: Discipline<T, S::Response>,
{
    index: usize,
    ports: Ports<T, U>,
    slots: Slots<S, C::Request, Held<D, T, S::Response>>,
    discipline: D,
    reply: Arc<X>,
    inbox: VecDeque<Message<T>>,
    done: VecDeque<Message<U>>,
    /// How many messages to ask a fused inlet for: more while calls are ready at once.
    want: usize,
    ended: bool,
}

impl<T, U, S, C, X, D> Worker<T, U, S, C, X, D>
where
    C: Carry<T>,
    S: Service<C::Request> + Clone,
    S::Error: Into<BoxError>,
    X: Reply<S::Response, Out = U>,
    D: Discipline<T, S::Response>,
{
    pub(crate) fn new(index: usize, service: S, reply: Arc<X>, discipline: D, ports: Ports<T, U>) -> Self {
        Self {
            index,
            ports,
            slots: Slots::new(service),
            discipline,
            reply,
            inbox: VecDeque::new(),
            done: VecDeque::new(),
            want: 1,
            ended: false,
        }
    }

    /// Runs until the inlet has ended and everything is handed on.
    pub(crate) async fn run(mut self) {
        poll_fn(|cx| self.poll(cx)).await;
        self.ports.control.finish();
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.slots.register(cx.waker());
        self.collect();
        let mut room;
        loop {
            room = self.hand_on(cx);
            // Once per chunk: an async-channel that is always ready never yields by itself.
            let Poll::Ready(budget) = coop::poll_proceed(cx) else {
                break;
            };
            budget.made_progress();
            if !self.start(room, cx) {
                break;
            }
        }
        self.ports.outlet.flush();
        if self.is_finished(cx) {
            return Poll::Ready(());
        }
        self.park(room, cx);
        Poll::Pending
    }

    /// Takes the results of the slots that were woken.
    fn collect(&mut self) {
        let Self {
            slots,
            discipline,
            reply,
            ports,
            done,
            ..
        } = self;
        slots.poll_woken(|(held, ended)| {
            finish(held, ended, discipline, &**reply, &mut ports.failures, done);
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
                    self.done.clear();
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
        if room == 0 {
            return false;
        }
        let limit = self.ports.control.share(self.index);
        let mut started = 0;
        while self.may_start(limit, room) && self.has_next(limit, cx) {
            match self.slots.poll_ready() {
                Poll::Ready(ready) => self.start_one(ready),
                Poll::Pending => break,
            }
            started += 1;
        }
        self.ports.stats.add_received(started);
        started > 0
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
            if self.ended || !self.inbox.is_empty() || !failures.is_clear() {
                return false;
            }
            let idle = limit - self.slots.running();
            self.want = self.want.max(idle).min(EAGER.max(limit));
            match self.ports.inlet.poll_fill(self.want, &mut self.inbox, cx) {
                Poll::Ready(true) => self.want *= 2,
                Poll::Ready(false) => self.ended = true,
                Poll::Pending => return false,
            }
        }
    }

    fn start_one(&mut self, ready: Result<usize, Option<S::Error>>) {
        let Some((message, ticket)) = self.discipline.next(&mut self.inbox) else {
            return;
        };
        let (payload, receipt) = message.into_parts();
        let ended = match ready {
            Ok(index) => {
                let request = C::carry(payload, &receipt);
                match self.slots.start(index, request, (receipt, ticket)) {
                    Some(ended) => ended,
                    None => return,
                }
            }
            Err(Some(error)) => ((receipt, ticket), Ended::Error(error)),
            Err(None) => ((receipt, ticket), Ended::Panic(Box::new("poll_ready panicked"))),
        };
        let (held, ended) = ended;
        finish(
            held,
            ended,
            &mut self.discipline,
            &*self.reply,
            &mut self.ports.failures,
            &mut self.done,
        );
    }

    fn is_finished(&mut self, cx: &mut Context<'_>) -> bool {
        let idle = self.slots.running() == 0 && self.inbox.is_empty() && self.done.is_empty();
        let inlet_over = self.ended || self.ports.control.is_finished();
        idle && inlet_over
            && self.discipline.waiting() == 0
            && self.ports.failures.poll_clear(cx).is_ready()
            && self.ports.outlet.poll_drained(cx).is_ready()
    }

    /// Lets others have what this worker cannot use while it waits.
    ///
    /// It waits for room or for messages, never for neither: `room` is what it saw last.
    fn park(&mut self, room: usize, cx: &mut Context<'_>) {
        if self.slots.running() > 0 {
            self.want = 1;
        }
        let control = &self.ports.control;
        let limit = control.share(self.index);
        if self.slots.running() >= limit {
            control.on_change(self.index, cx.waker());
        }
        self.ports.inlet.offer_back(&mut self.inbox);
        if self.slots.running() >= limit || room == 0 {
            self.ports.inlet.stop_waiting();
        }
    }
}

/// Settles or hands on what a call came to.
fn finish<T, R, E, X, D>(
    (receipt, ticket): Held<D, T, R>,
    ended: Ended<R, E>,
    discipline: &mut D,
    reply: &X,
    failures: &mut FailureRoute,
    done: &mut VecDeque<Message<X::Out>>,
) where
    X: Reply<R>,
    D: Discipline<T, R>,
    E: Into<BoxError>,
{
    let response = match ended {
        Ended::Response(response) => Some((response, receipt)),
        Ended::Error(error) => {
            failures.fail(receipt, error);
            None
        }
        Ended::Panic(panic) => {
            failures.panicked(receipt, panic);
            None
        }
    };
    discipline.finish(ticket, response, failures, &mut |response, receipt| {
        reply.expand(response, receipt, done);
    });
}
