//! The key of a call, for limits and memories that are kept per key.

use std::{fmt, sync::Arc};

/// A key: a number, which costs nothing to make, or a text.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Repr);

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Repr {
    Number(u64),
    Text(Arc<str>),
}

impl From<u64> for Key {
    fn from(key: u64) -> Self {
        Self(Repr::Number(key))
    }
}

impl From<u32> for Key {
    fn from(key: u32) -> Self {
        Self(Repr::Number(key.into()))
    }
}

impl From<&str> for Key {
    fn from(key: &str) -> Self {
        Self(Repr::Text(key.into()))
    }
}

impl From<String> for Key {
    fn from(key: String) -> Self {
        Self(Repr::Text(key.into()))
    }
}

impl From<Arc<str>> for Key {
    fn from(key: Arc<str>) -> Self {
        Self(Repr::Text(key))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Number(key) => fmt::Display::fmt(key, f),
            Repr::Text(key) => f.write_str(key),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Number(key) => fmt::Debug::fmt(key, f),
            Repr::Text(key) => fmt::Debug::fmt(key, f),
        }
    }
}
