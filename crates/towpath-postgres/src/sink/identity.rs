//! By what a sink knows a message again.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use towpath_core::{Batch, BoxError, Identity, Panicked};

/// Reads the identity out of a message.
pub(super) type Name<T> = dyn Fn(&T) -> String + Send + Sync;

/// Who a message is, and where it was.
pub(super) struct Note {
    pub(super) identity: Identity,
    pub(super) partition: Option<i64>,
    pub(super) position: Option<i64>,
}

/// A message cannot be known again.
#[derive(Debug, thiserror::Error)]
enum IdentityError {
    #[error(
        "the message has no identity that stays the same when it comes again, and `once` needs \
         one: name one with `once_by`"
    )]
    Missing,
    #[error(
        "the identity {identity} is that of another message of the batch: both were made of one; \
         name an identity of each with `once_by`"
    )]
    Shared { identity: Identity },
}

/// Who the messages of a batch are.
///
/// Messages that were made of one have its identity: to take them for repeats would lose all
/// but one of them. So they are refused, as far as they are seen together. A repeat is another
/// attempt.
pub(super) fn notes<T>(batch: &Batch<T>, name: Option<&Name<T>>) -> Vec<Result<Note, BoxError>> {
    let mut seen = HashMap::new();
    let notes = batch.iter().enumerate().map(|(place, item)| {
        let origin = batch.origin(place);
        let attempt = origin.map_or(0, |origin| origin.attempt);
        let identity = if let Some(name) = name {
            named(item, name)?
        } else {
            let identity = origin.and_then(|origin| origin.identity.clone());
            let identity = identity.ok_or(IdentityError::Missing)?;
            if seen.insert(identity.clone(), attempt) == Some(attempt) {
                return Err(IdentityError::Shared { identity }.into());
            }
            identity
        };
        let position = origin.and_then(|origin| origin.position);
        Ok(Note {
            identity,
            partition: position.map(|position| i64::from(position.partition)),
            position: position.and_then(|position| i64::try_from(position.offset).ok()),
        })
    });
    notes.collect()
}

/// One that panics is one message that fails, and not its batch.
fn named<T>(item: &T, name: &Name<T>) -> Result<Identity, BoxError> {
    let named = catch_unwind(AssertUnwindSafe(|| name(item)));
    named
        .map(Identity::from)
        .map_err(|panic| Panicked::from_payload(panic).into())
}
