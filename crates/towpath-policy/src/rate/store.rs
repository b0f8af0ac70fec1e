//! Budgets that several processes share.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;

use super::rate_value::Rate;
use crate::{BoxError, Key};

/// Keeps budgets that several processes share: one for each name and key.
pub trait RateStore: Send + Sync + fmt::Debug + 'static {
    /// Takes what is asked for out of the budget, all of it or nothing.
    ///
    /// The answer must not take for ever: a store that cannot be reached is an error.
    ///
    /// # Cancel safety
    /// When the future is dropped the budget may or may not have been taken.
    fn acquire(&self, request: RateRequest) -> BoxFuture<'static, Result<Decision, StoreError>>;
}

/// What a store is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateRequest {
    /// The name of the limit. All who use it share the budget.
    pub name: Arc<str>,
    /// Whose budget it is; `None` is the one budget of all.
    pub key: Option<Key>,
    /// How much is taken.
    pub weight: u32,
    /// How fast the budget grows. All who share it should say the same.
    pub quota: Quota,
}

/// How fast a budget grows, and how far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quota {
    /// How fast it grows.
    pub rate: Rate,
    /// The most that is granted at once.
    pub burst: u32,
    /// Whether each call keeps its distance from the one before, however long nobody came.
    pub spaced: bool,
}

/// What a store answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It was taken.
    Admitted,
    /// Nothing was taken; there should be enough after this time.
    Wait(Duration),
}

/// A store could not be asked, or gave no answer.
#[derive(Debug, thiserror::Error)]
#[error("the shared budget of a rate limit could not be asked for")]
pub struct StoreError {
    source: BoxError,
}

// === impl RateRequest ===

impl RateRequest {
    /// One out of the one budget of a name.
    pub fn new(name: impl Into<Arc<str>>, quota: Quota) -> Self {
        Self {
            name: name.into(),
            key: None,
            weight: 1,
            quota,
        }
    }

    /// Out of the budget of a key.
    #[must_use]
    pub fn key(mut self, key: impl Into<Key>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// So much at once.
    #[must_use]
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }
}

// === impl Quota ===

impl Quota {
    /// A budget that holds `burst`.
    pub fn new(rate: Rate, burst: u32) -> Self {
        Self {
            rate,
            burst,
            spaced: false,
        }
    }
}

// === impl StoreError ===

impl StoreError {
    /// Says why the store could not be asked.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let source = cause.into();
        Self { source }
    }
}
