//! Which slots were woken: a bit for each, set by their wakers, read by their worker.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::AcqRel},
    },
    task::{Wake, Waker},
};

use atomic_waker::AtomicWaker;

const BITS: usize = 64;

/// The bits of all slots of a worker, in words of 64; grows with the worker.
#[derive(Debug, Default)]
pub(crate) struct ReadySet {
    worker: Arc<AtomicWaker>,
    words: Vec<Arc<Word>>,
}

#[derive(Debug)]
struct Word {
    bits: AtomicU64,
    worker: Arc<AtomicWaker>,
}

/// Wakes the worker and leaves a note which slot it is about.
#[derive(Debug)]
struct SlotWaker {
    word: Arc<Word>,
    bit: u64,
}

impl Wake for SlotWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.word.bits.fetch_or(self.bit, AcqRel);
        self.word.worker.wake();
    }
}

impl ReadySet {
    /// The waker of slot `index`.
    pub(crate) fn waker(&mut self, index: usize) -> Waker {
        while self.words.len() <= index / BITS {
            self.words.push(Arc::new(Word {
                bits: AtomicU64::new(0),
                worker: self.worker.clone(),
            }));
        }
        Waker::from(Arc::new(SlotWaker {
            word: self.words[index / BITS].clone(),
            bit: 1 << (index % BITS),
        }))
    }

    /// Wakes `waker` whenever a slot is woken.
    pub(crate) fn register(&self, waker: &Waker) {
        self.worker.register(waker);
    }

    /// Takes the slots that were woken in one word; `None` behind the last word.
    pub(crate) fn take(&self, word: usize) -> Option<Woken> {
        let bits = self.words.get(word)?.bits.swap(0, AcqRel);
        Some(Woken {
            bits,
            base: word * BITS,
        })
    }
}

/// The slots of one word that were woken.
pub(crate) struct Woken {
    bits: u64,
    base: usize,
}

impl Iterator for Woken {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.bits == 0 {
            return None;
        }
        let bit = self.bits.trailing_zeros() as usize;
        self.bits &= self.bits - 1;
        Some(self.base + bit)
    }
}
