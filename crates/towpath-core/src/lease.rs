//! Something that one worker uses at a time and that outlives the worker.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex},
};

use crate::ledger::lock;

/// Keeps a source or sink while no worker uses it, so that a worker that died can be
/// started again with it.
pub struct Shelf<T>(Arc<Mutex<Option<T>>>);

/// A source or sink in the hand of a worker; goes back to its shelf when dropped.
pub struct Lease<T> {
    item: Option<T>,
    shelf: Shelf<T>,
}

impl<T> Shelf<T> {
    /// Puts `item` on a shelf of its own.
    pub fn new(item: T) -> Self {
        Self(Arc::new(Mutex::new(Some(item))))
    }

    /// Takes the item; `None` while somebody else has it.
    pub fn take(&self) -> Option<Lease<T>> {
        let item = lock(&self.0).take()?;
        Some(Lease {
            item: Some(item),
            shelf: self.clone(),
        })
    }

    /// Looks at the item; `None` while somebody has it.
    pub fn look<R>(&self, look: impl FnOnce(&T) -> R) -> Option<R> {
        lock(&self.0).as_ref().map(look)
    }
}

impl<T> Clone for Shelf<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Deref for Lease<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.item.as_ref().expect("held until dropped")
    }
}

impl<T> DerefMut for Lease<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.item.as_mut().expect("held until dropped")
    }
}

impl<T> Drop for Lease<T> {
    fn drop(&mut self) {
        *lock(&self.shelf.0) = self.item.take();
    }
}

impl<T> fmt::Debug for Shelf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Lease<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").finish_non_exhaustive()
    }
}
