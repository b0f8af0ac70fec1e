//! Which keys are in flight, which are remembered, and who waits: a plain state machine.

use std::{
    collections::{HashMap, VecDeque},
    mem,
    task::Waker,
    time::Duration,
};

use hashlink::LinkedHashMap;
use tokio::time::Instant;

use crate::Key;

/// How many keys that have had their time are forgotten at each look.
const AT_ONCE: usize = 2;

pub(super) struct Table {
    in_flight: HashMap<Key, InFlight>,
    /// Until when each key is remembered. All live equally long: the first is over first.
    done: LinkedHashMap<Key, Instant>,
    /// Those who wait because all places are in flight.
    room: Line,
    max_keys: usize,
    ttl: Duration,
    /// What is to be done with wakers once the lock is released.
    pub(super) after: After,
}

/// A key in flight: whose call it is, and who waits for that.
struct InFlight {
    owner: u64,
    line: Line,
}

/// Those who wait, longest first.
#[derive(Default)]
struct Line(VecDeque<(u64, Option<Waker>)>);

/// Wakers run foreign code when they are woken or dropped.
#[derive(Default)]
pub(super) struct After {
    woken: Vec<Waker>,
    stale: Vec<Waker>,
}

/// One call: its key, and where it is in the table.
pub(super) struct Seat {
    pub(super) key: Key,
    pub(super) number: u64,
    /// The message was given back since it was delivered first: that its key is remembered
    /// does not mean that it was finished.
    pub(super) again: bool,
    at: At,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// Not in the table.
    Nowhere,
    /// Waits for a place.
    Room,
    /// Waits for the call in flight; or owns the key since and was not told yet.
    Line,
    /// Owns the key.
    Owner,
}

/// What a call finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// The key is claimed: the call is to be made.
    Mine,
    /// The key is done.
    Known,
    /// Neither; the waker is called when that changes.
    Wait,
}

// === impl Table ===

impl Table {
    pub(super) fn new(max_keys: usize, ttl: Duration) -> Self {
        Self {
            in_flight: HashMap::new(),
            done: LinkedHashMap::new(),
            room: Line::default(),
            max_keys,
            ttl,
            after: After::default(),
        }
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    pub(super) fn remembered(&self) -> usize {
        self.done.len()
    }

    /// Claims the key if nobody has it; waits only when there is a waker.
    pub(super) fn look(&mut self, seat: &mut Seat, now: Instant, waker: Option<Waker>) -> Look {
        match seat.at {
            At::Owner => Look::Mine,
            At::Line => self.look_from_line(seat, waker),
            At::Nowhere | At::Room => self.look_anew(seat, now, waker),
        }
    }

    /// The call has succeeded: those who wait for it are duplicates.
    pub(super) fn complete(&mut self, seat: &mut Seat, now: Instant) {
        if mem::replace(&mut seat.at, At::Nowhere) != At::Owner {
            return;
        }
        if let Some(call) = self.in_flight.remove(&seat.key) {
            self.after.woken.extend(call.line.into_wakers());
        }
        self.done.insert(seat.key.clone(), now + self.ttl);
        self.offer_room();
    }

    /// The call is over without success, or does not wait any more.
    pub(super) fn leave(&mut self, seat: &mut Seat) {
        match mem::replace(&mut seat.at, At::Nowhere) {
            At::Nowhere => {}
            At::Room => self.leave_room(seat.number),
            At::Line | At::Owner => self.leave_key(seat),
        }
    }

    fn look_from_line(&mut self, seat: &mut Seat, waker: Option<Waker>) -> Look {
        if let Some(call) = self.in_flight.get_mut(&seat.key) {
            if call.owner == seat.number {
                seat.at = At::Owner;
                return Look::Mine;
            }
            if call.line.holds(seat.number) {
                self.after.drop(call.line.join_in_order(seat.number, waker));
                return Look::Wait;
            }
        }
        // Only a success takes those who wait out of the line without a word.
        seat.at = At::Nowhere;
        Look::Known
    }

    fn look_anew(&mut self, seat: &mut Seat, now: Instant, waker: Option<Waker>) -> Look {
        self.forget(now);
        if !seat.again && self.is_done(&seat.key, now) {
            self.leave(seat);
            return Look::Known;
        }
        if self.in_flight.contains_key(&seat.key) {
            self.leave(seat);
            self.join_line(seat, waker);
            return Look::Wait;
        }
        if self.has_room_for(seat.number) {
            self.claim(seat);
            return Look::Mine;
        }
        if waker.is_some() {
            seat.at = At::Room;
            self.after.drop(self.room.join(seat.number, waker));
        }
        Look::Wait
    }

    fn is_done(&self, key: &Key, now: Instant) -> bool {
        self.done.get(key).is_some_and(|&until| now < until)
    }

    /// Forgets some of those who have had their time.
    fn forget(&mut self, now: Instant) {
        for _ in 0..AT_ONCE {
            if self.done.front().is_none_or(|(_, &until)| now < until) {
                return;
            }
            self.done.pop_front();
        }
    }

    fn join_line(&mut self, seat: &mut Seat, waker: Option<Waker>) {
        if waker.is_none() {
            return;
        }
        if let Some(call) = self.in_flight.get_mut(&seat.key) {
            seat.at = At::Line;
            self.after.drop(call.line.join_in_order(seat.number, waker));
        }
    }

    /// Whether there is a place, and nobody who has waited longer for it.
    fn has_room_for(&self, number: u64) -> bool {
        let first = self.room.first().is_none_or(|first| first == number);
        first && self.in_flight.len() < self.max_keys
    }

    fn claim(&mut self, seat: &mut Seat) {
        self.done.remove(&seat.key);
        if self.in_flight.len() + self.done.len() >= self.max_keys {
            self.done.pop_front();
        }
        let call = InFlight {
            owner: seat.number,
            line: Line::default(),
        };
        self.in_flight.insert(seat.key.clone(), call);
        self.leave(seat);
        seat.at = At::Owner;
    }

    /// Hands the key on, or leaves the line for it.
    fn leave_key(&mut self, seat: &Seat) {
        let Some(call) = self.in_flight.get_mut(&seat.key) else {
            return;
        };
        if call.owner != seat.number {
            let waker = call.line.leave(seat.number);
            return self.after.drop(waker);
        }
        if let Some((next, waker)) = call.line.0.pop_front() {
            call.owner = next;
            return self.after.woken.extend(waker);
        }
        self.in_flight.remove(&seat.key);
        self.offer_room();
    }

    fn leave_room(&mut self, number: u64) {
        let waker = self.room.leave(number);
        self.after.drop(waker);
        self.offer_room();
    }

    /// Wakes who has waited longest for a place, if there is one.
    fn offer_room(&mut self) {
        if self.in_flight.len() < self.max_keys
            && let Some((_, waker)) = self.room.0.front_mut()
        {
            self.after.woken.extend(waker.take());
        }
    }
}

// === impl Line ===

impl Line {
    fn first(&self) -> Option<u64> {
        self.0.front().map(|(number, _)| *number)
    }

    fn place(&self, number: u64) -> Option<usize> {
        self.0.iter().position(|(at, _)| *at == number)
    }

    fn holds(&self, number: u64) -> bool {
        self.place(number).is_some()
    }

    /// Joins at the end, or renews the waker; gives out the one before.
    fn join(&mut self, number: u64, waker: Option<Waker>) -> Option<Waker> {
        self.join_at(self.0.len(), number, waker)
    }

    /// Joins in the order of the calls: one may have waited for a place first.
    fn join_in_order(&mut self, number: u64, waker: Option<Waker>) -> Option<Waker> {
        let place = self.0.partition_point(|(at, _)| *at < number);
        self.join_at(place, number, waker)
    }

    fn join_at(&mut self, new: usize, number: u64, waker: Option<Waker>) -> Option<Waker> {
        if let Some(place) = self.place(number) {
            return mem::replace(&mut self.0[place].1, waker);
        }
        self.0.insert(new, (number, waker));
        None
    }

    fn leave(&mut self, number: u64) -> Option<Waker> {
        let place = self.place(number)?;
        self.0.remove(place)?.1
    }

    fn into_wakers(self) -> impl Iterator<Item = Waker> {
        self.0.into_iter().filter_map(|(_, waker)| waker)
    }
}

// === impl After ===

impl After {
    fn drop(&mut self, waker: Option<Waker>) {
        self.stale.extend(waker);
    }

    /// To be called without the lock.
    pub(super) fn run(self) {
        for waker in self.woken {
            waker.wake();
        }
    }
}

// === impl Seat ===

impl Seat {
    pub(super) fn new(key: Key, number: u64) -> Self {
        Self {
            key,
            number,
            again: false,
            at: At::Nowhere,
        }
    }

    /// Of a message that was delivered before, or not.
    pub(super) fn again(mut self, again: bool) -> Self {
        self.again = again;
        self
    }
}
