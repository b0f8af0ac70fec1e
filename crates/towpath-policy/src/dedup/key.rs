//! By which key requests are told apart.

use std::fmt;

use crate::Key;

/// Says which requests are the same: those of one key.
#[diagnostic::on_unimplemented(
    message = "a dedup needs a key of `{Q}`",
    note = "say which with `Dedup::by_key(|request| ..)`, or with `.keyed(|request| ..)` on options that were read"
)]
pub trait KeyOf<Q> {
    /// The key of a request.
    fn key(&self, request: &Q) -> Key;
}

/// The key is what a function says.
#[derive(Clone, Copy)]
pub struct ByKey<F>(pub(super) F);

/// No key was given yet: a service needs one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NoKey;

impl<Q, F, K> KeyOf<Q> for ByKey<F>
where
    F: Fn(&Q) -> K,
    K: Into<Key>,
{
    fn key(&self, request: &Q) -> Key {
        (self.0)(request).into()
    }
}

impl<F> fmt::Debug for ByKey<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByKey").finish_non_exhaustive()
    }
}
