//! The key and the weight of a message, as the user's functions give them.

use std::{fmt, hash::Hash};

use bytes::Bytes;

/// How a batcher finds the key of a message.
pub trait KeyOf<T>: Send + Sync + 'static {
    /// What messages of one batch have in common.
    type Key: Hash + Eq + Clone + fmt::Debug + Send + Sync + 'static;

    /// The key of a message.
    fn key(&self, item: &T) -> Self::Key;

    /// Whether there are keys at all.
    fn is_keyed(&self) -> bool {
        true
    }

    /// The key of all messages, where they have but one.
    fn only_key(&self) -> Option<Self::Key> {
        None
    }
}

/// How a batcher weighs a message.
pub trait WeightOf<T>: Send + Sync + 'static {
    /// The weight of a message, in bytes or whatever the limit counts.
    fn weigh(&self, item: &T) -> u64;

    /// Whether any message weighs more than nothing.
    fn weighs(&self) -> bool {
        true
    }
}

/// A payload that knows its size.
pub trait SizeInBytes {
    /// How many bytes the payload takes where it is written.
    fn size_in_bytes(&self) -> u64;
}

/// All messages go into one batch.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unkeyed;

/// Messages weigh nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unweighed;

/// Messages weigh their size in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Size;

/// A key function.
#[derive(Clone, Copy, Debug)]
pub struct KeyFn<F>(pub(crate) F);

/// A weight function.
#[derive(Clone, Copy, Debug)]
pub struct WeightFn<F>(pub(crate) F);

impl<T> KeyOf<T> for Unkeyed {
    type Key = ();

    fn key(&self, _item: &T) {}

    fn is_keyed(&self) -> bool {
        false
    }

    fn only_key(&self) -> Option<()> {
        Some(())
    }
}

impl<T, K, F> KeyOf<T> for KeyFn<F>
where
    K: Hash + Eq + Clone + fmt::Debug + Send + Sync + 'static,
    F: Fn(&T) -> K + Send + Sync + 'static,
{
    type Key = K;

    fn key(&self, item: &T) -> K {
        (self.0)(item)
    }
}

impl<T> WeightOf<T> for Unweighed {
    #[inline]
    fn weigh(&self, _item: &T) -> u64 {
        0
    }

    fn weighs(&self) -> bool {
        false
    }
}

impl<T: SizeInBytes> WeightOf<T> for Size {
    fn weigh(&self, item: &T) -> u64 {
        item.size_in_bytes()
    }
}

impl<T, F: Fn(&T) -> u64 + Send + Sync + 'static> WeightOf<T> for WeightFn<F> {
    fn weigh(&self, item: &T) -> u64 {
        (self.0)(item)
    }
}

macro_rules! sized_by_len {
    ($($type:ty),*) => {$(
        impl SizeInBytes for $type {
            fn size_in_bytes(&self) -> u64 {
                self.len() as u64
            }
        }
    )*};
}
sized_by_len!(Bytes, Vec<u8>, Box<[u8]>, String, Box<str>, &'static str);
