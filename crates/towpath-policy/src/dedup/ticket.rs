//! One call's claim of its key; given back when the call is dropped.

use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::{
    Claimed, DedupStoreFailed,
    local::{Local, Sharing},
    table::{Look, Seat},
};
use crate::{
    BoxError, WhenStoreFails,
    error::Duplicate,
    timer::{Timer, poll_until},
};

/// The first pause before a store is asked again about a key that somebody else holds.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

pub(super) struct Ticket {
    local: Arc<Local>,
    seat: Seat,
    /// Whether the store knows of the claim.
    is_shared: bool,
    pause: Duration,
    renewal: Option<Renewal>,
}

/// What a claim in the store waits for next.
pub(super) enum Next {
    /// The call is to be made.
    Call,
    /// The store is asked.
    Ask(BoxFuture<'static, Result<Claimed, BoxError>>),
    /// The store is asked again then.
    Pause(Instant),
}

/// Keeps a claim in the store alive while its call runs.
struct Renewal {
    due: Instant,
    timer: Option<Timer>,
    asking: Option<BoxFuture<'static, Result<(), BoxError>>>,
}

impl Ticket {
    pub(super) fn new(local: Arc<Local>, seat: Seat) -> Self {
        Self {
            local,
            seat,
            is_shared: false,
            pause: FIRST_PAUSE,
            renewal: None,
        }
    }

    /// The call is refused: another of its key was made.
    pub(super) fn duplicate(&self) -> BoxError {
        self.local.count_duplicate();
        let key = self.seat.key.clone();
        Duplicate { key }.into()
    }

    /// Claims the key if that is free; does not wait.
    pub(super) fn look(&mut self) -> Look {
        let (local, seat) = (&self.local, &mut self.seat);
        let now = Instant::now();
        local.with(|table| table.look(seat, now, None))
    }

    /// Waits until the key is claimed or done.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let (now, waker) = (Instant::now(), cx.waker().clone());
        let (local, seat) = (&self.local, &mut self.seat);
        match local.with(|table| table.look(seat, now, Some(waker))) {
            Look::Mine => Poll::Ready(Ok(())),
            Look::Known => Poll::Ready(Err(self.duplicate())),
            Look::Wait => Poll::Pending,
        }
    }

    /// The key is claimed here: is it in the store too?
    pub(super) fn ask(&self) -> Next {
        match &self.local.sharing {
            Some(sharing) => Next::Ask(
                sharing
                    .store
                    .claim(sharing.claim(&self.seat), sharing.lease),
            ),
            None => Next::Call,
        }
    }

    /// What to do with the answer of the store.
    pub(super) fn answered(&mut self, answer: Result<Claimed, BoxError>) -> Result<Next, BoxError> {
        match answer {
            Ok(Claimed::Yes) => {
                self.is_shared = true;
                Ok(Next::Call)
            }
            Ok(Claimed::Done) => Err(self.duplicate()),
            Ok(Claimed::Held(left)) => Ok(Next::Pause(Instant::now() + self.pause(left))),
            Err(_) if self.calls_anyway() => Ok(Next::Call),
            Err(source) => Err(DedupStoreFailed { source }.into()),
        }
    }

    /// What tells the store how the call ended, if that knows of it.
    pub(super) fn settle(
        &mut self,
        succeeded: bool,
    ) -> Option<BoxFuture<'static, Result<(), BoxError>>> {
        self.renewal = None;
        let sharing = self.local.sharing.as_ref()?;
        if succeeded {
            return Some(
                sharing
                    .store
                    .complete(sharing.claim(&self.seat), self.local.ttl),
            );
        }
        let is_known = mem::take(&mut self.is_shared);
        is_known.then(|| sharing.store.release(sharing.claim(&self.seat)))
    }

    /// The call is over, and the store knows: now the calls that wait here may know too.
    pub(super) fn end(&mut self, succeeded: bool) {
        let (local, seat) = (&self.local, &mut self.seat);
        if succeeded {
            let now = Instant::now();
            local.with(|table| table.complete(seat, now));
        } else {
            local.with(|table| table.leave(seat));
        }
    }

    /// Renews the claim in the store from time to time. Never ready.
    pub(super) fn keep_alive(&mut self, cx: &mut Context<'_>) {
        let Some(sharing) = self.local.sharing.as_ref().filter(|_| self.is_shared) else {
            return;
        };
        let pause = sharing.lease / 3;
        let renewal = self.renewal.get_or_insert_with(|| Renewal::after(pause));
        renewal.poll(sharing, &self.seat, pause, cx);
    }

    fn calls_anyway(&self) -> bool {
        let open = |sharing: &Sharing| sharing.when_store_fails == WhenStoreFails::Open;
        self.local.sharing.as_ref().is_some_and(open)
    }

    /// Longer each time, but not beyond what is left of the lease.
    fn pause(&mut self, left: Duration) -> Duration {
        let next = (self.pause * 2).min(LONGEST_PAUSE);
        let pause = mem::replace(&mut self.pause, next);
        pause.min(left.max(Duration::from_millis(1)))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.end(false);
    }
}

impl Renewal {
    fn after(pause: Duration) -> Self {
        Self {
            due: Instant::now() + pause,
            timer: None,
            asking: None,
        }
    }

    /// A claim that cannot be renewed is tried again: the call cannot be taken back.
    fn poll(&mut self, sharing: &Sharing, seat: &Seat, pause: Duration, cx: &mut Context<'_>) {
        loop {
            if let Some(asking) = &mut self.asking {
                if asking.as_mut().poll(cx).is_pending() {
                    return;
                }
                self.asking = None;
                self.due = Instant::now() + pause;
            }
            if poll_until(&mut self.timer, self.due, cx).is_pending() {
                return;
            }
            self.asking = Some(sharing.store.renew(sharing.claim(seat), sharing.lease));
        }
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("key", &self.seat.key)
            .finish_non_exhaustive()
    }
}
