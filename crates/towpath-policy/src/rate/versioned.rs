//! A few numbers that are read together without a lock while others take their place.

use crate::sync::{AtomicU64, Ordering, fence};

/// Two places: a reader has the current one, a writer fills the other. A reader looks
/// again only when a writer came round to the place it was reading.
#[derive(Debug)]
pub(super) struct Versioned<const N: usize> {
    version: AtomicU64,
    places: [[AtomicU64; N]; 2],
}

// === impl Versioned ===

impl<const N: usize> Versioned<N> {
    pub(super) fn new(numbers: [u64; N]) -> Self {
        Self {
            version: AtomicU64::new(0),
            places: [numbers, numbers].map(|place| place.map(AtomicU64::new)),
        }
    }

    #[inline]
    pub(super) fn load(&self) -> [u64; N] {
        loop {
            let version = self.version.load(Ordering::Acquire);
            let place = self.place(version);
            let numbers = std::array::from_fn(|index| place[index].load(Ordering::Relaxed));
            // Pairs with the fence of `store`: who saw a number of a later version in this
            // place sees that the version has moved on.
            fence(Ordering::Acquire);
            if self.version.load(Ordering::Relaxed) == version {
                return numbers;
            }
        }
    }

    /// Replaces the numbers. One at a time: the caller holds a lock.
    pub(super) fn store(&self, numbers: [u64; N]) {
        let next = self.version.load(Ordering::Relaxed).wrapping_add(1);
        fence(Ordering::Release);
        for (place, number) in self.place(next).iter().zip(numbers) {
            place.store(number, Ordering::Relaxed);
        }
        self.version.store(next, Ordering::Release);
    }

    #[inline]
    fn place(&self, version: u64) -> &[AtomicU64; N] {
        &self.places[usize::from(version % 2 == 1)]
    }
}
