//! What a pipeline is made of, and how its messages fail.

use std::time::Duration;

use proptest::prelude::*;

/// A message: which one of the source it comes from, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub(crate) struct Item {
    pub(crate) index: u64,
    pub(crate) value: u64,
}

/// A pipeline as data: what both sides are built from.
#[derive(Clone, Debug)]
pub(crate) struct Description {
    /// How many messages the source has.
    pub(crate) items: u64,
    /// How many it hands out at once.
    pub(crate) chunk: usize,
    /// How often it delivers one.
    pub(crate) attempts: u32,
    /// How many calls that tell it outcomes fail first.
    pub(crate) settle_fails: usize,
    pub(crate) max_demand: usize,
    pub(crate) budget: Option<u64>,
    pub(crate) sections: Vec<Section>,
    pub(crate) end: End,
    /// How many writes of letters fail first; without a route for letters, none.
    pub(crate) letters: Option<usize>,
}

/// A few operators and the processor behind them.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub(crate) shape: Shape,
    pub(crate) kind: Kind,
    pub(crate) order: Order,
    pub(crate) concurrency: usize,
    pub(crate) workers: usize,
    pub(crate) delay: u64,
    pub(crate) faults: Faults,
}

/// The operators in front of a processor.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    Nothing,
    /// A map, then a filter.
    Shrink {
        add: u64,
        leave_out: u64,
    },
    /// A flat map, then a map.
    Grow {
        parts: u64,
        add: u64,
    },
    /// A try map, then an early acknowledgement.
    Early {
        faults: Faults,
        when: u64,
    },
    /// A flat map into a flat map, with a filter and a try map between them.
    Nested {
        parts: u64,
        leave_out: u64,
        faults: Faults,
        again: u64,
    },
}

/// What a processor makes of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// One, and it sees which delivery this is.
    Call,
    /// Several.
    Parts(u64),
    /// None of some.
    Maybe(u64),
    /// One, of so many at once; keeps no order.
    Chunk(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Unordered,
    Ordered,
    ByKey,
}

#[derive(Clone, Debug)]
pub(crate) enum End {
    Acknowledge,
    Sink {
        workers: usize,
        faults: Faults,
    },
    Batch {
        size: usize,
        wait: u64,
        keyed: bool,
        workers: usize,
        faults: Faults,
    },
    /// By the value to one of two sides, or to none; or a copy to each.
    Fork {
        copies: bool,
        sides: Box<[End; 2]>,
    },
}

/// One step of the interpreter.
pub(crate) enum Op<'a> {
    Map(u64),
    Filter(u64),
    FlatMap(u64),
    Early(u64),
    TryMap(&'a Faults),
    Process {
        stage: usize,
        faults: &'a Faults,
        sees_delivery: bool,
    },
    Parts(u64),
    Maybe(u64),
}

/// What a sink wrote, with the number of the sink.
pub(crate) type Line = (usize, Item);

/// A fault for each message, by its value.
#[derive(Clone, Debug)]
pub(crate) struct Faults(Vec<Fault>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    Reject,
    /// Given back, to come again after some milliseconds.
    Retry(u64),
    /// Given back until this delivery.
    RetryTo(u32),
    Panic,
    Drop,
}

/// What every stage of a description keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeps {
    Nothing,
    Order,
    Key,
}

impl Item {
    pub(crate) fn key(&self) -> u64 {
        self.index % 5
    }

    /// The side of a fork; there is none for 2.
    pub(crate) fn side(&self) -> usize {
        [0, 1, 0, 1, 0, 1, 2][usize::try_from(self.value % 7).unwrap()]
    }

    pub(crate) fn add(self, add: u64) -> Self {
        let value = self.value.wrapping_add(add);
        Self { value, ..self }
    }

    pub(crate) fn part(self, part: u64) -> Self {
        let value = self.value.wrapping_mul(8).wrapping_add(part);
        Self { value, ..self }
    }

    pub(crate) fn is_multiple(&self, of: u64) -> bool {
        self.value.is_multiple_of(of)
    }
}

impl Faults {
    pub(crate) fn of(&self, item: &Item) -> Fault {
        let mixed = item.value.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
        self.0[usize::try_from(mixed).unwrap() % self.0.len()]
    }
}

impl Fault {
    /// How long until the message may come again, if it is given back in this delivery.
    pub(crate) fn retry_after(self, attempt: u32) -> Option<Duration> {
        match self {
            Self::Retry(after) => Some(Duration::from_millis(after)),
            Self::RetryTo(delivery) if attempt < delivery => Some(Duration::ZERO),
            _ => None,
        }
    }
}

impl Shape {
    fn ops(&self) -> Vec<Op<'_>> {
        match self {
            Self::Nothing => vec![],
            Self::Shrink { add, leave_out } => vec![Op::Map(*add), Op::Filter(*leave_out)],
            Self::Grow { parts, add } => vec![Op::FlatMap(*parts), Op::Map(*add)],
            Self::Early { faults, when } => vec![Op::TryMap(faults), Op::Early(*when)],
            Self::Nested {
                parts,
                leave_out,
                faults,
                again,
            } => vec![
                Op::FlatMap(*parts),
                Op::Filter(*leave_out),
                Op::TryMap(faults),
                Op::FlatMap(*again),
            ],
        }
    }
}

impl Description {
    /// The steps of every message, up to the end.
    pub(crate) fn ops(&self) -> Vec<Op<'_>> {
        let sections = self.sections.iter().enumerate();
        let ops = sections.flat_map(|(stage, section)| {
            let process = Op::Process {
                stage,
                faults: &section.faults,
                sees_delivery: matches!(section.kind, Kind::Call),
            };
            let reply = match section.kind {
                Kind::Parts(parts) => Some(Op::Parts(parts)),
                Kind::Maybe(leave_out) => Some(Op::Maybe(leave_out)),
                Kind::Call | Kind::Chunk(_) => None,
            };
            section
                .shape
                .ops()
                .into_iter()
                .chain([process])
                .chain(reply)
        });
        ops.collect()
    }

    /// One in which every second call panics beside one that is in flight.
    pub(crate) fn panics() -> Self {
        let faults = Faults(vec![Fault::Panic, Fault::None]);
        let mut panics = Self::sample();
        panics.sections[0] = Section {
            shape: Shape::Nothing,
            kind: Kind::Call,
            order: Order::Ordered,
            concurrency: 2,
            workers: 1,
            delay: 1,
            faults,
        };
        Self {
            items: 99,
            chunk: 1,
            attempts: 1,
            max_demand: 1,
            end: End::Acknowledge,
            letters: None,
            ..panics
        }
    }

    /// One that has a bit of everything.
    pub(crate) fn sample() -> Self {
        let faults = Faults(vec![
            Fault::None,
            Fault::Reject,
            Fault::None,
            Fault::Retry(1),
        ]);
        Self {
            items: 50,
            chunk: 7,
            attempts: 2,
            settle_fails: 0,
            max_demand: 4,
            budget: None,
            sections: vec![Section {
                shape: Shape::Grow { parts: 2, add: 1 },
                kind: Kind::Call,
                order: Order::Unordered,
                concurrency: 3,
                workers: 2,
                delay: 3,
                faults: faults.clone(),
            }],
            end: End::Sink { workers: 1, faults },
            letters: Some(0),
        }
    }
}

fn any_fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        12 => Just(Fault::None),
        1 => Just(Fault::Reject),
        1 => (0..20_u64).prop_map(Fault::Retry),
        2 => (1..5_u32).prop_map(Fault::RetryTo),
        1 => Just(Fault::Panic),
        1 => Just(Fault::Drop),
    ]
}

fn any_faults() -> impl Strategy<Value = Faults> {
    prop::collection::vec(any_fault(), 1..12).prop_map(Faults)
}

fn any_shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        Just(Shape::Nothing),
        (0..9_u64, 2..7_u64).prop_map(|(add, leave_out)| Shape::Shrink { add, leave_out }),
        (0..4_u64, 0..9_u64).prop_map(|(parts, add)| Shape::Grow { parts, add }),
        (any_faults(), 2..9_u64).prop_map(|(faults, when)| Shape::Early { faults, when }),
        (0..3_u64, 2..7_u64, any_faults(), 0..3_u64).prop_map(
            |(parts, leave_out, faults, again)| Shape::Nested {
                parts,
                leave_out,
                faults,
                again
            }
        ),
    ]
}

fn any_order(keeps: Keeps) -> impl Strategy<Value = Order> {
    let all: &[Order] = match keeps {
        Keeps::Nothing => &[Order::Unordered, Order::Ordered, Order::ByKey],
        Keeps::Order => &[Order::Ordered],
        Keeps::Key => &[Order::ByKey, Order::Ordered],
    };
    prop::sample::select(all)
}

fn any_kind(keeps: Keeps) -> impl Strategy<Value = Kind> {
    let chunks = u32::from(keeps == Keeps::Nothing);
    prop_oneof![
        4 => Just(Kind::Call),
        1 => (0..3_u64).prop_map(Kind::Parts),
        1 => (2..7_u64).prop_map(Kind::Maybe),
        chunks => (1..20_usize).prop_map(Kind::Chunk),
    ]
}

fn any_section(keeps: Keeps) -> impl Strategy<Value = Section> {
    let numbers = (1..24_usize, 1..4_usize, 0..30_u64);
    let kind = any_kind(keeps);
    (any_shape(), kind, any_order(keeps), numbers, any_faults()).prop_map(
        |(shape, kind, order, (concurrency, workers, delay), faults)| Section {
            shape,
            kind,
            order,
            concurrency,
            workers,
            delay,
            faults,
        },
    )
}

fn any_end(keeps: Keeps) -> impl Strategy<Value = End> {
    let sides = [any_side(keeps), any_side(keeps)];
    prop_oneof![
        3 => any_side(keeps),
        1 => (any::<bool>(), sides)
            .prop_map(|(copies, sides)| End::Fork { copies, sides: Box::new(sides) }),
    ]
}

fn any_side(keeps: Keeps) -> impl Strategy<Value = End> {
    let most = if keeps == Keeps::Nothing { 4_usize } else { 1 };
    let acknowledge = u32::from(keeps == Keeps::Nothing);
    let workers = 1_usize..=most;
    prop_oneof![
        acknowledge => Just(End::Acknowledge),
        2 => (workers.clone(), any_faults())
            .prop_map(|(workers, faults)| End::Sink { workers, faults }),
        3 => (1..40_usize, 1..50_u64, any::<bool>(), workers, any_faults()).prop_map(
            move |(size, wait, keyed, workers, faults)| End::Batch {
                size,
                wait,
                keyed: keyed && keeps != Keeps::Order,
                workers,
                faults,
            }
        ),
    ]
}

/// A random description; where order is kept, every message comes once.
pub(crate) fn any_description(keeps: Keeps) -> impl Strategy<Value = Description> {
    let attempts = if keeps == Keeps::Nothing { 4_u32 } else { 1 };
    let source = (0..120_u64, 1..70_usize, 1..=attempts, 0..3_usize);
    let limits = (1..=64_usize, prop::option::of(1..50_u64));
    let sections = prop::collection::vec(any_section(keeps), 0..4);
    let letters = prop::option::of(0..4_usize);
    (source, limits, sections, any_end(keeps), letters).prop_map(
        |((items, chunk, attempts, settle_fails), (max_demand, budget), sections, end, letters)| {
            Description {
                items,
                chunk,
                attempts,
                settle_fails,
                max_demand,
                budget,
                sections,
                end,
                letters,
            }
        },
    )
}
