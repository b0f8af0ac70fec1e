//! The ends that wait on one lane of a link: each buffer wakes one of them.
//!
//! async-channel's stream wakes every waiting end for each item, and its future
//! borrows the channel: the link keeps a line of its own.

use std::{collections::VecDeque, mem, sync::PoisonError, task::Waker};

use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, fence};

/// A place in the line, never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

#[derive(Debug)]
pub(crate) struct Waiters {
    /// The first ticket in the line: a lower one was woken, and neither seeing that
    /// nor waking nobody takes a lock.
    first: AtomicU64,
    /// Wakers run foreign code when cloned, called or dropped: not under this lock.
    line: Mutex<Line>,
}

/// What `first` is when the line is empty.
const NOBODY: u64 = u64::MAX;

/// Who waits, longest first, and so in the order of the tickets.
#[derive(Debug, Default)]
struct Line {
    issued: u64,
    waiting: VecDeque<(Ticket, Waker)>,
}

impl Waiters {
    pub(crate) fn new() -> Self {
        Self {
            first: AtomicU64::new(NOBODY),
            line: Mutex::default(),
        }
    }

    /// Joins the line, or renews the waker of a place in it.
    ///
    /// True means joined: look again, since what came before wakes nobody.
    pub(crate) fn wait(&self, ticket: &mut Option<Ticket>, waker: &Waker) -> bool {
        if self.waits_with(*ticket, waker) {
            return false;
        }
        let waker = waker.clone();
        let replaced = self.change(|line| line.join(ticket, waker));
        fence(Ordering::SeqCst);
        replaced.is_none()
    }

    /// Leaves the line with what the wait was for.
    pub(crate) fn served(&self, ticket: &mut Option<Ticket>) {
        if let Some(ticket) = ticket.take() {
            self.withdraw(ticket);
        }
    }

    /// Leaves the line without; a wake-up that was meant for it goes to the next.
    pub(crate) fn leave(&self, ticket: &mut Option<Ticket>) {
        let Some(ticket) = ticket.take() else { return };
        if !self.withdraw(ticket) {
            self.wake_one();
        }
    }

    /// Wakes who has waited longest. The reason must be there to be seen already.
    pub(crate) fn wake_one(&self) {
        // Pairs with the fence of `wait`: we see the one who joins, or it sees the reason.
        fence(Ordering::SeqCst);
        if self.first.load(Ordering::SeqCst) == NOBODY {
            return;
        }
        if let Some((_, waker)) = self.change(|line| line.waiting.pop_front()) {
            waker.wake();
        }
    }

    /// Wakes all. The reason must be there to be seen already.
    pub(crate) fn wake_all(&self) {
        let all = self.change(|line| mem::take(&mut line.waiting));
        for (_, waker) in all {
            waker.wake();
        }
    }

    /// Whether the place was still in the line.
    fn withdraw(&self, ticket: Ticket) -> bool {
        !self.was_woken(ticket) && self.change(|line| line.leave(ticket)).is_some()
    }

    fn was_woken(&self, ticket: Ticket) -> bool {
        ticket.0 < self.first.load(Ordering::SeqCst)
    }

    fn waits_with(&self, ticket: Option<Ticket>, waker: &Waker) -> bool {
        ticket
            .is_some_and(|ticket| !self.was_woken(ticket) && self.lock().waits_with(ticket, waker))
    }

    fn change<R>(&self, change: impl FnOnce(&mut Line) -> R) -> R {
        let mut line = self.lock();
        let result = change(&mut line);
        self.first.store(line.first(), Ordering::SeqCst);
        result
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn first(&self) -> u64 {
        self.waiting.front().map_or(NOBODY, |(first, _)| first.0)
    }

    fn place(&self, ticket: Ticket) -> Option<usize> {
        self.waiting
            .binary_search_by_key(&ticket, |&(at, _)| at)
            .ok()
    }

    fn waits_with(&self, ticket: Ticket, waker: &Waker) -> bool {
        self.place(ticket)
            .is_some_and(|place| self.waiting[place].1.will_wake(waker))
    }

    /// The waker that was replaced, when the place is still there.
    fn join(&mut self, ticket: &mut Option<Ticket>, waker: Waker) -> Option<Waker> {
        if let Some(place) = ticket.and_then(|ticket| self.place(ticket)) {
            return Some(mem::replace(&mut self.waiting[place].1, waker));
        }
        self.issued += 1;
        let issued = Ticket(self.issued);
        self.waiting.push_back((issued, waker));
        *ticket = Some(issued);
        None
    }

    fn leave(&mut self, ticket: Ticket) -> Option<Waker> {
        let place = self.place(ticket)?;
        self.waiting.remove(place).map(|(_, waker)| waker)
    }
}
