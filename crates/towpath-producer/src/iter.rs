//! Iterators as sources: those that have their items at hand, and those that block.

use std::{fmt, iter::Fuse, num::NonZeroUsize};

use towpath_core::{BoxError, Delivery, Intake, Permanent, Producer, Received, Unacknowledged};

use crate::pool::OnPool;

/// Hands out the items of an iterator, as many as are asked for, without waiting.
///
/// Ends with the last item where the iterator knows its length, or with a call that
/// finds nothing. Nobody is told the outcomes: wrap it in
/// [`Redeliver`](crate::Redeliver) to have given-back items delivered again.
///
/// The iterator runs on a worker of the runtime, so that it must not block; one that
/// does belongs in a [`BlockingIter`].
///
/// When `next` panics, the panic passes out of `receive`, and the call after it goes on
/// behind the item that panicked.
///
/// ```
/// use towpath_producer::IterSource;
///
/// let numbers = IterSource::new(0..10);
/// # let _ = numbers;
/// ```
pub struct IterSource<I> {
    items: Fuse<I>,
}

/// Hands out the items of an iterator that blocks: it reads, waits or computes for long.
///
/// Runs on the blocking pool of tokio, for as many items at a time as are asked for; each
/// item is handed out as soon as it is there. Nobody is told the outcomes.
///
/// An item that is being waited for when the source is dropped keeps its thread until it
/// comes, and a runtime that shuts down waits for that thread.
///
/// When `next` panics, the panic passes out of `receive`, behind the items before it, and
/// the call after it goes on.
///
/// ```
/// use std::io::{self, BufRead as _, BufReader};
/// use towpath_producer::BlockingIter;
///
/// let input = BlockingIter::new(BufReader::new(io::stdin()).lines());
/// # let _ = input;
/// ```
pub struct BlockingIter<I: Iterator> {
    items: OnPool<I>,
}

/// The most items that one job takes from an iterator that blocks.
const AHEAD: NonZeroUsize = NonZeroUsize::new(64).expect("not zero");

// === impl IterSource ===

impl<I: Iterator> IterSource<I> {
    /// A source of the items of `items`.
    pub fn new(items: impl IntoIterator<IntoIter = I>) -> Self {
        Self {
            items: items.into_iter().fuse(),
        }
    }
}

impl<I> Producer for IterSource<I>
where
    I: Iterator + Send + 'static,
    I::Item: Send + 'static,
{
    type Payload = I::Item;
    type Acknowledger = Unacknowledged;

    async fn receive(&mut self, intake: &mut Intake<I::Item, ()>) -> Result<Received, BoxError> {
        while intake.room() > 0 {
            let Some(item) = self.items.next() else {
                return Ok(Received::End);
            };
            intake.push(Delivery::new(item, ()));
        }
        Ok(match self.items.size_hint() {
            (_, Some(0)) => Received::End,
            _ => Received::More,
        })
    }
}

impl<I> fmt::Debug for IterSource<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IterSource").finish_non_exhaustive()
    }
}

// === impl BlockingIter ===

impl<I> BlockingIter<I>
where
    I: Iterator + Send + 'static,
    I::Item: Send + 'static,
{
    /// A source of the items of `items`.
    pub fn new(items: impl IntoIterator<IntoIter = I>) -> Self {
        Self {
            items: OnPool::new(items.into_iter(), AHEAD),
        }
    }
}

impl<I> Producer for BlockingIter<I>
where
    I: Iterator + Send + 'static,
    I::Item: Send + 'static,
{
    type Payload = I::Item;
    type Acknowledger = Unacknowledged;

    async fn receive(&mut self, intake: &mut Intake<I::Item, ()>) -> Result<Received, BoxError> {
        if intake.room() == 0 {
            return Ok(Received::More);
        }
        let first = self.items.next(intake.room()).await;
        let Some(first) = first.map_err(Permanent::new)? else {
            return Ok(Received::End);
        };
        intake.push(Delivery::new(first, ()));
        while intake.room() > 0 {
            let Some(item) = self.items.try_next() else {
                break;
            };
            intake.push(Delivery::new(item, ()));
        }
        Ok(Received::More)
    }
}

impl<I: Iterator> fmt::Debug for BlockingIter<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingIter").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
