//! A value on cache lines of its own.

use std::ops::Deref;

/// On cache lines of its own: this is written by each call, what is around it only read.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Apart<T>(pub(crate) T);

impl<T> Deref for Apart<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}
