//! Where results wait to be taken: one place for each call that was begun.

use std::collections::VecDeque;

/// The places of the calls that run and of the results that wait.
pub(super) struct Places<T> {
    slots: VecDeque<Option<T>>,
    /// The number of the place in front.
    first: u64,
    ordered: bool,
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        Self {
            slots: VecDeque::new(),
            first: 0,
            ordered: false,
        }
    }
}

impl<T> Places<T> {
    pub(super) fn keep_order(&mut self) {
        self.ordered = true;
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// A place for a result that is to come.
    pub(super) fn reserve(&mut self) -> u64 {
        self.slots.push_back(None);
        self.first + (self.slots.len() as u64 - 1)
    }

    /// Puts a result in its place, or in the first free one where order does not matter.
    pub(super) fn fill(&mut self, place: u64, result: T) {
        let own = usize::try_from(place.wrapping_sub(self.first))
            .ok()
            .filter(|&at| self.ordered && self.is_free(at));
        let at = own.or_else(|| self.slots.iter().position(Option::is_none));
        if let Some(slot) = at.and_then(|at| self.slots.get_mut(at)) {
            *slot = Some(result);
        }
    }

    /// Puts a result in every place that is free.
    pub(super) fn fill_all(&mut self, mut result: impl FnMut() -> T) {
        for slot in &mut self.slots {
            slot.get_or_insert_with(&mut result);
        }
    }

    /// The result whose turn it is.
    pub(super) fn take(&mut self) -> Option<T> {
        let result = self.slots.front_mut()?.take()?;
        self.slots.pop_front();
        self.first += 1;
        Some(result)
    }

    fn is_free(&self, at: usize) -> bool {
        self.slots.get(at).is_some_and(Option::is_none)
    }
}
