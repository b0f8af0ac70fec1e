//! What there is to work.

use serde::{Deserialize, Serialize};
use towpath::prelude::*;

use crate::cli::Fill;

/// A task of a customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) customer: String,
    /// Later tasks have higher numbers.
    pub(crate) number: u32,
}

// === impl Task ===

impl Task {
    /// All tasks of one filling, customers in turns.
    pub(crate) fn all(options: &Fill) -> impl Iterator<Item = Self> + Send + 'static {
        let (first, customers) = (options.first, options.customers);
        (first..first + options.tasks).map(move |number| Self {
            customer: format!("customer-{}", number % customers),
            number,
        })
    }

    pub(crate) fn from_json(raw: &impl AsRef<[u8]>) -> serde_json::Result<Self> {
        serde_json::from_slice(raw.as_ref())
    }

    pub(crate) fn to_json(&self) -> Result<Vec<u8>, BoxError> {
        Ok(serde_json::to_vec(self)?)
    }
}
