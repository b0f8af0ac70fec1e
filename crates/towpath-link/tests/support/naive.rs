//! A link beside the plainest account of what it should do, step by step.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake},
};

use proptest::prelude::*;
use towpath_link::{
    Chunk, Receiver, Sender, Size,
    invariants::{Census, credit_is_home, link_holds},
    link,
};

/// Which of the ends or chunks at hand; any number names one of them.
pub(crate) type Pick = usize;

/// What is done next, and to which.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    TryChunk(Pick),
    PollChunk(Pick),
    StopSending(Pick),
    CloneSender(Pick),
    DropSender(Pick),
    Push(Pick),
    Send(Pick, Pick),
    DropChunk(Pick),
    TryRecv(Pick),
    PollRecv(Pick),
    StopReceiving(Pick),
    CloneReceiver(Pick),
    DropReceiver(Pick),
    Pop(Pick),
    OfferBack(Pick, Pick),
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = any::<Pick>;
    let two = any::<(Pick, Pick)>;
    let step = prop_oneof![
        4 => one().prop_map(Step::TryChunk),
        4 => one().prop_map(Step::PollChunk),
        1 => one().prop_map(Step::StopSending),
        1 => one().prop_map(Step::CloneSender),
        1 => one().prop_map(Step::DropSender),
        12 => one().prop_map(Step::Push),
        8 => two().prop_map(|(sender, chunk)| Step::Send(sender, chunk)),
        2 => one().prop_map(Step::DropChunk),
        4 => one().prop_map(Step::TryRecv),
        4 => one().prop_map(Step::PollRecv),
        1 => one().prop_map(Step::StopReceiving),
        1 => one().prop_map(Step::CloneReceiver),
        1 => one().prop_map(Step::DropReceiver),
        8 => one().prop_map(Step::Pop),
        2 => two().prop_map(|(receiver, chunk)| Step::OfferBack(receiver, chunk)),
    ];
    prop::collection::vec(step, 0..150)
}

/// The link, its ends and the chunks at hand, and what they should be.
pub(crate) struct Twin {
    size: Size,
    senders: Vec<End<Sender<u32>>>,
    receivers: Vec<End<Receiver<u32>>>,
    held: Vec<Held>,
    pushed: u32,
    /// How many chunks should be at home.
    empty: usize,
    /// What should be on its way, oldest chunk first.
    full: VecDeque<VecDeque<u32>>,
    /// No sender and no item was left at some moment.
    ended: bool,
}

struct Held {
    chunk: Chunk<u32>,
    items: VecDeque<u32>,
    loaded: bool,
}

/// An end, and whether it waits and was woken.
struct End<E> {
    of_link: E,
    waits: bool,
    woken: Arc<Woken>,
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

// === impl Twin ===

impl Twin {
    pub(crate) fn new(size: Size) -> Self {
        let (sender, receiver) = link(size);
        Self {
            size,
            senders: vec![End::new(sender)],
            receivers: vec![End::new(receiver)],
            held: Vec::new(),
            pushed: 0,
            empty: size.buffers.get(),
            full: VecDeque::new(),
            ended: false,
        }
    }

    pub(crate) fn step(&mut self, step: &Step) {
        match *step {
            Step::TryChunk(at) => self.try_chunk(at),
            Step::PollChunk(at) => self.poll_chunk(at),
            Step::StopSending(at) => stop(&mut self.senders, at, Sender::stop_waiting),
            Step::CloneSender(at) => copy(&mut self.senders, at),
            Step::DropSender(at) => drop(take(&mut self.senders, at)),
            Step::Push(at) => self.push(at),
            Step::Send(by, at) => self.send(by, at),
            Step::DropChunk(at) => self.drop_chunk(at),
            Step::TryRecv(at) => self.try_recv(at),
            Step::PollRecv(at) => self.poll_recv(at),
            Step::StopReceiving(at) => stop(&mut self.receivers, at, Receiver::stop_waiting),
            Step::CloneReceiver(at) => copy(&mut self.receivers, at),
            Step::DropReceiver(at) => drop(take(&mut self.receivers, at)),
            Step::Pop(at) => self.pop(at),
            Step::OfferBack(by, at) => self.offer_back(by, at),
        }
        self.note_the_end();
        self.check();
    }

    /// All that is left is received, and all credit comes home.
    pub(crate) fn wind_up(mut self) {
        self.senders.clear();
        while !self.held.is_empty() {
            self.drop_chunk(0);
        }
        while !self.receivers.is_empty() && !self.full.is_empty() {
            self.try_recv(0);
            self.drop_chunk(0);
        }
        self.note_the_end();
        self.check();
        self.poll_recv(0);
        if let (false, Some(census)) = (self.receivers.is_empty(), self.census()) {
            assert!(credit_is_home(self.size, census), "{census:?}");
        }
    }

    fn try_chunk(&mut self, at: Pick) {
        if let Some(sender) = find(&mut self.senders, at) {
            let chunk = sender.of_link.try_chunk();
            self.granted(chunk);
        }
    }

    fn poll_chunk(&mut self, at: Pick) {
        let over = self.receivers.is_empty();
        if let Some(sender) = find(&mut self.senders, at) {
            match sender.poll(Sender::poll_chunk) {
                Poll::Pending => assert!(self.empty == 0 && !over),
                Poll::Ready(None) => assert!(over),
                Poll::Ready(chunk) => self.granted(chunk),
            }
        }
    }

    fn granted(&mut self, chunk: Option<Chunk<u32>>) {
        assert_eq!(chunk.is_some(), self.empty > 0, "demand is what is at home");
        if let Some(chunk) = chunk {
            assert_eq!(chunk.room(), self.size.max_demand.get());
            self.empty -= 1;
            self.hold(chunk, VecDeque::new(), false);
        }
    }

    fn try_recv(&mut self, at: Pick) {
        if let Some(receiver) = find(&mut self.receivers, at) {
            let chunk = receiver.of_link.try_recv();
            self.received(chunk);
        }
    }

    fn poll_recv(&mut self, at: Pick) {
        if let Some(receiver) = find(&mut self.receivers, at) {
            match receiver.poll(Receiver::poll_recv) {
                Poll::Pending => assert!(self.full.is_empty() && !self.ended),
                Poll::Ready(None) => assert!(self.ended),
                Poll::Ready(chunk) => self.received(chunk),
            }
        }
    }

    fn received(&mut self, chunk: Option<Chunk<u32>>) {
        assert_eq!(chunk.is_some(), !self.full.is_empty());
        if let (Some(chunk), Some(items)) = (chunk, self.full.pop_front()) {
            self.hold(chunk, items, true);
        }
    }

    fn hold(&mut self, chunk: Chunk<u32>, items: VecDeque<u32>, loaded: bool) {
        self.held.push(Held {
            chunk,
            items,
            loaded,
        });
    }

    fn push(&mut self, at: Pick) {
        let Some(held) = find(&mut self.held, at) else {
            return;
        };
        self.pushed += 1;
        let has_room = held.items.len() < self.size.max_demand.get();
        assert_eq!(held.chunk.push(self.pushed).is_ok(), has_room);
        if has_room {
            held.items.push_back(self.pushed);
        }
    }

    fn pop(&mut self, at: Pick) {
        if let Some(held) = find(&mut self.held, at) {
            assert_eq!(held.chunk.pop(), held.items.pop_front(), "oldest first");
        }
    }

    fn send(&mut self, by: Pick, at: Pick) {
        let Some(sender) = find(&mut self.senders, by) else {
            return;
        };
        if let Some(held) = take(&mut self.held, at) {
            sender.of_link.send(held.chunk);
            self.travelled(held.items);
        }
    }

    fn offer_back(&mut self, by: Pick, at: Pick) {
        let Some(receiver) = find(&mut self.receivers, by) else {
            return;
        };
        if let Some(held) = take(&mut self.held, at) {
            receiver.of_link.offer_back(held.chunk);
            self.travelled(held.items);
        }
    }

    fn travelled(&mut self, items: VecDeque<u32>) {
        if items.is_empty() || self.ended {
            self.empty += 1;
        } else {
            self.full.push_back(items);
        }
    }

    fn drop_chunk(&mut self, at: Pick) {
        if take(&mut self.held, at).is_some() {
            self.empty += 1;
        }
    }

    /// Without receivers nothing stays inside; without senders and items nothing will come.
    fn note_the_end(&mut self) {
        if self.receivers.is_empty() {
            self.empty = 0;
            self.full.clear();
        }
        let loaded = self.held.iter().any(|held| held.loaded) || !self.full.is_empty();
        self.ended |= self.senders.is_empty() && !loaded;
    }

    fn check(&self) {
        for Held { chunk, items, .. } in &self.held {
            let room = self.size.max_demand.get() - items.len();
            assert_eq!((chunk.len(), chunk.room()), (items.len(), room));
        }
        if let Some(census) = self.census() {
            let expected = (self.empty, self.full.len());
            assert_eq!((census.empty, census.full), expected);
            let lives = !self.receivers.is_empty();
            assert!(!lives || link_holds(self.size, census), "{census:?}");
        }
        let senders_have = (self.empty, self.receivers.is_empty());
        assert_nobody_is_forgotten(&self.senders, senders_have);
        assert_nobody_is_forgotten(&self.receivers, (self.full.len(), self.ended));
    }

    /// `None` when no end is left to tell.
    fn census(&self) -> Option<Census> {
        let receiver = self.receivers.first().map(|receiver| &receiver.of_link);
        let sender = self.senders.first().map(|sender| &sender.of_link);
        let (empty, full) = receiver
            .map(|receiver| (receiver.empty_chunks(), receiver.full_chunks()))
            .or_else(|| sender.map(|sender| (sender.empty_chunks(), sender.full_chunks())))?;
        let held = self.held.iter().map(|held| &held.items);
        Some(Census {
            empty,
            full,
            held: self.held.len(),
            items: held.chain(&self.full).map(VecDeque::len).sum(),
        })
    }
}

/// While someone waits unwoken, someone else was woken for each thing there is to take.
fn assert_nobody_is_forgotten<E>(ends: &[End<E>], (there, over): (usize, bool)) {
    let waiting = || ends.iter().filter(|end| end.waits);
    let woken = waiting().filter(|end| end.was_woken()).count();
    let unwoken = waiting().count() - woken;
    assert!(unwoken == 0 || (!over && there <= woken));
}

// === impl End ===

impl<E> End<E> {
    fn new(of_link: E) -> Self {
        Self {
            of_link,
            waits: false,
            woken: Arc::default(),
        }
    }

    fn poll<T>(&mut self, poll: impl FnOnce(&mut E, &mut Context<'_>) -> Poll<T>) -> Poll<T> {
        self.woken.0.store(false, Ordering::SeqCst);
        let waker = self.woken.clone().into();
        let polled = poll(&mut self.of_link, &mut Context::from_waker(&waker));
        self.waits = polled.is_pending();
        polled
    }

    fn was_woken(&self) -> bool {
        self.woken.0.load(Ordering::SeqCst)
    }
}

fn stop<E>(ends: &mut [End<E>], at: Pick, stop_waiting: impl FnOnce(&mut E)) {
    if let Some(end) = find(ends, at) {
        stop_waiting(&mut end.of_link);
        end.waits = false;
    }
}

fn copy<E: Clone>(ends: &mut Vec<End<E>>, at: Pick) {
    if let Some(copy) = find(ends, at).map(|end| End::new(end.of_link.clone())) {
        ends.push(copy);
    }
}

fn find<T>(all: &mut [T], at: Pick) -> Option<&mut T> {
    match all.len() {
        0 => None,
        len => all.get_mut(at % len),
    }
}

fn take<T>(all: &mut Vec<T>, at: Pick) -> Option<T> {
    match all.len() {
        0 => None,
        len => Some(all.swap_remove(at % len)),
    }
}
