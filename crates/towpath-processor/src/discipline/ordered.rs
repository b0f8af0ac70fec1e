//! Results leave in the order in which their messages came.

use std::{collections::VecDeque, fmt, marker::PhantomData};

use towpath_core::{FailureRoute, Message, Receipt};

use super::{Discipline, Order};

/// Results leave in the order in which their messages came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ordered;

/// The results that wait for an earlier one.
pub struct Reorder<R> {
    /// The ticket of the oldest entry.
    base: u64,
    entries: VecDeque<Entry<R>>,
    finished: usize,
    results: PhantomData<fn() -> R>,
}

enum Entry<R> {
    Running,
    Finished(Option<(R, Receipt)>),
}

impl<R> Default for Reorder<R> {
    fn default() -> Self {
        Self {
            base: 0,
            entries: VecDeque::new(),
            finished: 0,
            results: PhantomData,
        }
    }
}

impl<T, R: Send + 'static> Discipline<T, R> for Reorder<R> {
    type Ticket = u64;

    fn has_next(&mut self, inbox: &mut VecDeque<Message<T>>, _: &mut FailureRoute) -> bool {
        !inbox.is_empty()
    }

    fn next(&mut self, inbox: &mut VecDeque<Message<T>>) -> Option<(Message<T>, u64)> {
        let message = inbox.pop_front()?;
        let ticket = self.base + self.entries.len() as u64;
        self.entries.push_back(Entry::Running);
        Some((message, ticket))
    }

    fn finish(
        &mut self,
        ticket: u64,
        response: Option<(R, Receipt)>,
        _: &mut FailureRoute,
        emit: &mut impl FnMut(R, Receipt),
    ) {
        let place = usize::try_from(ticket - self.base).ok();
        if let Some(entry) = place.and_then(|place| self.entries.get_mut(place)) {
            *entry = Entry::Finished(response);
            self.finished += 1;
        }
        while let Some(Entry::Finished(_)) = self.entries.front() {
            if let Some(Entry::Finished(Some((response, receipt)))) = self.entries.pop_front() {
                emit(response, receipt);
            }
            self.base += 1;
            self.finished -= 1;
        }
    }

    fn waiting(&self) -> usize {
        self.finished
    }

    fn untaken(&self) -> usize {
        self.finished
    }

    fn results(&self) -> usize {
        let is_result = |entry: &&Entry<R>| matches!(entry, Entry::Finished(Some(_)));
        self.entries.iter().filter(is_result).count()
    }
}

impl<T, R: Send + 'static> Order<T, R> for Ordered {
    type Discipline = Reorder<R>;

    fn discipline(&self) -> Reorder<R> {
        Reorder::default()
    }

    fn spreads(&self) -> bool {
        false
    }

    fn word(&self) -> &'static str {
        "ordered"
    }
}

impl<R> fmt::Debug for Reorder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reorder")
            .field("base", &self.base)
            .field("entries", &self.entries.len())
            .finish_non_exhaustive()
    }
}
