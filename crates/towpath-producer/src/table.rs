//! The tokens of what a source has in flight, and the outcomes on their way to it.

use std::{
    fmt,
    future::poll_fn,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
};

use atomic_waker::AtomicWaker;
use tokio::sync::Notify;
use towpath_core::{
    Acknowledger, Outcome, SettleOptions, SettlePort, UnsupportedOption, trace::Span,
};

/// Keeps the token of each message in flight until its outcome is known.
///
/// Never blocks: outcomes are noted under a short lock and told by a task of their own.
pub(crate) struct TokenTable<A: Acknowledger> {
    state: Mutex<State<A::Token>>,
    /// Wakes the task that tells the source.
    teller: AtomicWaker,
    /// Wakes the source when it waits for the table to shrink.
    source: AtomicWaker,
    /// What is not told by now never is.
    given_up: Notify,
}

struct State<K> {
    chunks: Vec<Chunk<K>>,
    free: Vec<u32>,
    settled: Vec<(K, Outcome)>,
    /// The spans of telling what is settled, of those that are traced.
    traced: Vec<Arc<dyn Span>>,
    /// Messages without an outcome.
    unsettled: usize,
    /// Outcomes that the source does not know yet.
    untold: usize,
    closed: bool,
}

struct Chunk<K> {
    tokens: Vec<Option<K>>,
    left: usize,
}

impl<A: Acknowledger> TokenTable<A> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                chunks: Vec::new(),
                free: Vec::new(),
                settled: Vec::new(),
                traced: Vec::new(),
                unsettled: 0,
                untold: 0,
                closed: false,
            }),
            teller: AtomicWaker::new(),
            source: AtomicWaker::new(),
            given_up: Notify::new(),
        })
    }

    /// Keeps the tokens of one chunk; tells by which number it goes.
    pub(crate) fn keep(&self, tokens: impl Iterator<Item = A::Token>) -> u32 {
        let mut state = self.lock();
        let number = state.free_chunk();
        let chunk = &mut state.chunks[number as usize];
        chunk.tokens.extend(tokens.map(Some));
        chunk.left = chunk.tokens.len();
        let kept = chunk.left;
        state.unsettled += kept;
        number
    }

    /// Waits until fewer than `ceiling` messages are unsettled or untold; tells how many fewer.
    pub(crate) async fn room(&self, ceiling: usize) -> usize {
        poll_fn(|cx| {
            let room = self.look_for_room(ceiling);
            if room.is_ready() {
                return room;
            }
            self.source.register(cx.waker());
            // Looked at again after registering: what was told in between wakes nobody.
            self.look_for_room(ceiling)
        })
        .await
    }

    fn look_for_room(&self, ceiling: usize) -> Poll<usize> {
        let state = self.lock();
        match ceiling.saturating_sub(state.unsettled + state.untold) {
            0 if !state.closed => Poll::Pending,
            room => Poll::Ready(room.max(1)),
        }
    }

    /// The source hands out nothing more.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.teller.wake();
    }

    /// Nobody waits any more for the outcomes that are not told yet.
    pub(crate) fn give_up(&self) {
        self.given_up.notify_one();
    }

    /// Waits until nobody waits any more for the outcomes.
    pub(crate) async fn given_up(&self) {
        self.given_up.notified().await;
    }

    /// Waits for outcomes and takes them all, and the spans of telling them; `false` when
    /// there will be no more.
    pub(crate) async fn take(
        &self,
        run: &mut Vec<(A::Token, Outcome)>,
        traced: &mut Vec<Arc<dyn Span>>,
    ) -> bool {
        poll_fn(|cx| {
            self.teller.register(cx.waker());
            self.lock().take(run, traced)
        })
        .await
    }

    /// The source knows `count` more outcomes, or never will.
    pub(crate) fn told(&self, count: usize) {
        self.lock().untold -= count;
        self.source.wake();
    }

    fn lock(&self) -> MutexGuard<'_, State<A::Token>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A: Acknowledger> SettlePort for TokenTable<A> {
    fn settle(&self, chunk: u32, index: u32, outcome: Outcome, told: Option<Arc<dyn Span>>) {
        {
            let mut state = self.lock();
            state.traced.extend(told);
            state.settle(chunk, index, outcome);
        }
        self.teller.wake();
    }

    fn settle_done(&self, chunk: u32, indices: &[u32]) {
        self.lock().settle_done(chunk, indices);
        self.teller.wake();
    }

    fn configure(
        &self,
        chunk: u32,
        index: u32,
        options: &SettleOptions,
    ) -> Result<(), UnsupportedOption> {
        match self.lock().token(chunk, index) {
            Some(Some(token)) => A::configure(token, options),
            _ => Ok(()),
        }
    }
}

impl<K> State<K> {
    fn free_chunk(&mut self) -> u32 {
        if let Some(number) = self.free.pop() {
            return number;
        }
        self.chunks.push(Chunk {
            tokens: Vec::new(),
            left: 0,
        });
        u32::try_from(self.chunks.len() - 1).unwrap_or(u32::MAX)
    }

    fn token(&mut self, chunk: u32, index: u32) -> Option<&mut Option<K>> {
        let chunk = self.chunks.get_mut(chunk as usize)?;
        chunk.tokens.get_mut(index as usize)
    }

    fn settle(&mut self, number: u32, index: u32, outcome: Outcome) {
        if let Some(token) = self.token(number, index).and_then(Option::take) {
            self.settled.push((token, outcome));
            self.count_settled(number, 1);
        }
    }

    fn settle_done(&mut self, number: u32, indices: &[u32]) {
        let Some(chunk) = self.chunks.get_mut(number as usize) else {
            return;
        };
        let before = self.settled.len();
        self.settled.reserve(indices.len());
        for index in indices {
            let token = chunk.tokens.get_mut(*index as usize);
            if let Some(token) = token.and_then(Option::take) {
                self.settled.push((token, Outcome::Done));
            }
        }
        self.count_settled(number, self.settled.len() - before);
    }

    fn count_settled(&mut self, number: u32, count: usize) {
        let chunk = &mut self.chunks[number as usize];
        chunk.left -= count;
        if count > 0 && chunk.left == 0 {
            chunk.tokens.clear();
            self.free.push(number);
        }
        self.unsettled -= count;
        self.untold += count;
    }

    /// Exchanges what is settled for the empty `run`; `false` when there will be no more.
    fn take(&mut self, run: &mut Vec<(K, Outcome)>, traced: &mut Vec<Arc<dyn Span>>) -> Poll<bool> {
        if !self.settled.is_empty() {
            mem::swap(run, &mut self.settled);
            traced.append(&mut self.traced);
            return Poll::Ready(true);
        }
        if self.closed && self.unsettled == 0 {
            return Poll::Ready(false);
        }
        Poll::Pending
    }
}

impl<A: Acknowledger> fmt::Debug for TokenTable<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("TokenTable")
            .field("unsettled", &state.unsettled)
            .field("untold", &state.untold)
            .finish_non_exhaustive()
    }
}
