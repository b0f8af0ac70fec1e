//! By what a sink knows a message again.

use std::{collections::HashMap, fmt, sync::Arc};

use towpath_core::Batch;

/// A message cannot be known again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The source gives its messages no identity.
    #[error("the source gives the message no identity to know it by: name one with `{option}`")]
    Missing {
        /// What names one.
        option: &'static str,
    },
    /// Two messages of a batch are the same by their identity, and are of the same delivery.
    #[error(
        "the identity {identity} is that of another message of the batch: both were made of one; \
         name an identity of each with `{option}`"
    )]
    Shared {
        /// The identity.
        identity: String,
        /// What names one.
        option: &'static str,
    },
}

type Name<T> = Arc<dyn Fn(&T) -> String + Send + Sync>;

/// How to find the identity of a message.
pub(crate) struct Identities<T> {
    /// `None` takes that of the source.
    name: Option<Name<T>>,
    /// What names one.
    option: &'static str,
}

impl<T> Identities<T> {
    /// The identity that the source gives a message.
    pub(crate) fn of_source(option: &'static str) -> Self {
        Self { name: None, option }
    }

    pub(crate) fn named(
        name: impl Fn(&T) -> String + Send + Sync + 'static,
        option: &'static str,
    ) -> Self {
        let name: Name<T> = Arc::new(name);
        Self {
            name: Some(name),
            option,
        }
    }

    /// The identity of each message of a batch.
    ///
    /// Messages that were made of one have its identity: to take them for repeats would lose
    /// all but one of them. So they are refused, as far as they are seen together. A repeat is
    /// another attempt.
    pub(crate) fn of(&self, batch: &Batch<T>) -> Vec<Result<String, IdentityError>> {
        let mut seen = HashMap::new();
        let identities = batch.iter().enumerate().map(|(index, item)| {
            if let Some(name) = &self.name {
                return Ok(name(item));
            }
            let option = self.option;
            let origin = batch.origin(index);
            let identity = origin.and_then(|origin| origin.identity.as_ref());
            let (Some(origin), Some(identity)) = (origin, identity) else {
                return Err(IdentityError::Missing { option });
            };
            match seen.insert(identity.clone(), origin.attempt) {
                Some(attempt) if attempt == origin.attempt => Err(IdentityError::Shared {
                    identity: identity.to_string(),
                    option,
                }),
                _ => Ok(identity.to_string()),
            }
        });
        identities.collect()
    }
}

impl<T> Clone for Identities<T> {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            option: self.option,
        }
    }
}

impl<T> fmt::Debug for Identities<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = if self.name.is_some() {
            "name"
        } else {
            "source"
        };
        f.debug_tuple("Identities").field(&by).finish()
    }
}
