//! The table under random schedules: what must hold whatever comes in which order.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Wake, Waker},
    time::Duration,
};

use proptest::prelude::*;
use tokio::time::Instant;

use super::super::table::{Look, Seat, Table};
use crate::Key;

const KEYS: usize = 3;
const CALLS: usize = 6;
const MAX_KEYS: usize = 2;
const TTL: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
enum Op {
    Look(usize),
    LookAgain(usize),
    Succeed(usize),
    Leave(usize),
    Advance(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..CALLS).prop_map(Op::Look),
        1 => (0..CALLS).prop_map(Op::LookAgain),
        2 => (0..CALLS).prop_map(Op::Succeed),
        2 => (0..CALLS).prop_map(Op::Leave),
        1 => (1_u64..8).prop_map(Op::Advance),
    ]
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

struct Caller {
    seat: Seat,
    flag: Arc<Flag>,
    saw: Option<Look>,
}

struct World {
    table: Table,
    callers: Vec<Caller>,
    now: Instant,
    issued: u64,
    /// Until when each key is remembered at most.
    done: [Option<Instant>; KEYS],
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            table: Table::new(MAX_KEYS, TTL),
            callers: Vec::new(),
            now: Instant::now(),
            issued: 0,
            done: [None; KEYS],
        };
        for at in 0..CALLS {
            let caller = world.caller(at);
            world.callers.push(caller);
        }
        world
    }

    fn caller(&mut self, at: usize) -> Caller {
        self.issued += 1;
        Caller {
            seat: Seat::new(Key::from((at % KEYS) as u64), self.issued),
            flag: Arc::default(),
            saw: None,
        }
    }

    fn run(&mut self, op: &Op) {
        match *op {
            Op::Advance(secs) => self.now += Duration::from_secs(secs),
            Op::Look(at) => self.look(at),
            Op::LookAgain(at) => self.look_again(at),
            Op::Succeed(at) => self.succeed(at),
            Op::Leave(at) => self.leave(at),
        }
        std::mem::take(&mut self.table.after).run();
    }

    /// A call of a message that is delivered again, unless one is here already.
    fn look_again(&mut self, at: usize) {
        if self.callers[at].saw.is_none() {
            self.callers[at] = self.caller(at);
            self.callers[at].seat.again = true;
            self.look_here(at);
        } else {
            self.look(at);
        }
    }

    fn look(&mut self, at: usize) {
        if self.callers[at].saw.is_none() {
            self.callers[at] = self.caller(at);
        }
        self.look_here(at);
    }

    fn look_here(&mut self, at: usize) {
        let caller = &mut self.callers[at];
        let waited = caller.saw == Some(Look::Wait);
        caller.flag.0.store(false, Relaxed);
        let waker = Waker::from(caller.flag.clone());
        let look = self.table.look(&mut caller.seat, self.now, Some(waker));
        caller.saw = Some(look);
        if look == Look::Known {
            let is_done = |until| waited || self.now < until;
            let done = self.done[at % KEYS];
            assert!(done.is_some_and(is_done), "nobody has done it");
            assert!(waited || !self.callers[at].seat.again, "it was given back");
            self.leave(at);
        }
    }

    fn succeed(&mut self, at: usize) {
        if self.callers[at].saw == Some(Look::Mine) {
            self.table.complete(&mut self.callers[at].seat, self.now);
            self.done[at % KEYS] = Some(self.now + TTL);
            self.leave(at);
        }
    }

    /// The call ends, and another one of its key may come.
    fn leave(&mut self, at: usize) {
        self.table.leave(&mut self.callers[at].seat);
        self.callers[at] = self.caller(at);
    }

    fn check(&self) {
        let owners = |key| {
            let of_key = self.callers.iter().skip(key).step_by(KEYS);
            of_key.filter(|c| c.saw == Some(Look::Mine)).count()
        };
        assert!((0..KEYS).all(|key| owners(key) <= 1), "one owner");
        let kept = self.table.in_flight() + self.table.remembered();
        assert!(kept <= MAX_KEYS, "bounded: {kept}");
    }

    /// Nobody waits for ever: while anybody waits, somebody is at work or was woken.
    fn check_progress(&self) {
        let waits = |c: &Caller| c.saw == Some(Look::Wait) && !c.flag.0.load(Relaxed);
        let works = |c: &Caller| c.saw == Some(Look::Mine) || c.flag.0.load(Relaxed);
        if self.callers.iter().any(waits) {
            assert!(
                self.callers.iter().any(works),
                "all wait, and nobody will wake them"
            );
        }
    }

    /// The numbers of those who wait; not of those who were woken and may be duplicates.
    fn waiting(&self) -> Vec<Option<u64>> {
        let waits = |c: &Caller| c.saw == Some(Look::Wait) && !c.flag.0.load(Relaxed);
        let number = |c: &Caller| waits(c).then_some(c.seat.number);
        self.callers.iter().map(number).collect()
    }

    /// Those who were woken look, until nobody was.
    fn settle(&mut self) {
        while let Some(at) = self.callers.iter().position(|c| c.flag.0.load(Relaxed)) {
            self.run(&Op::Look(at));
            self.check();
        }
    }

    /// Whoever owns a key succeeds, until nobody waits.
    fn drain(&mut self) {
        for _ in 0..10 * CALLS {
            self.settle();
            let owner = |c: &Caller| c.saw == Some(Look::Mine);
            let Some(at) = self.callers.iter().position(owner) else {
                break;
            };
            self.run(&Op::Succeed(at));
        }
        let waits = self.callers.iter().any(|c| c.saw == Some(Look::Wait));
        assert!(
            !waits && self.table.in_flight() == 0,
            "everybody came through"
        );
    }
}

proptest! {
    #[test]
    fn nobody_waits_for_ever_and_no_key_has_two_owners(
        ops in prop::collection::vec(op(), 1..80),
    ) {
        let mut world = World::new();
        for op in &ops {
            world.run(op);
            world.check();
            world.check_progress();
        }
        world.drain();
    }

    #[test]
    fn a_key_is_handed_on_in_the_order_of_the_calls(
        ops in prop::collection::vec(op(), 1..80),
    ) {
        let mut world = World::new();
        for op in &ops {
            let waited = world.waiting();
            world.run(op);
            let (Op::Look(at) | Op::LookAgain(at)) = *op else {
                continue;
            };
            if world.callers[at].saw == Some(Look::Mine) {
                let others = waited.iter().skip(at % KEYS).step_by(KEYS);
                let number = world.callers[at].seat.number;
                prop_assert!(others.flatten().all(|other| *other >= number));
            }
        }
    }
}
