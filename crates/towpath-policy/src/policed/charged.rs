//! What a call costs at the limiter, and in whose bucket.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    admission::Want,
    core::{Core, Local},
};
use crate::{
    Key,
    rate::{Bucket, Charge, Limiter},
};

/// What a call costs.
#[derive(Debug)]
pub(super) enum Charged {
    /// One token of the one bucket, or nothing where there is no limiter.
    Flat,
    /// As the request says.
    In { bucket: Arc<Bucket>, weight: u32 },
    /// As the request says; a limiter has a bound on its keys, and this one has no bucket yet.
    Crowded(Box<(Key, u32)>),
}

impl Charged {
    /// Asks what `request` costs.
    pub(super) fn of<S, L, Q>(local: &Local<S, L>, request: &Q) -> Self
    where
        L: Charge<Q>,
    {
        let (Some(charge), Some(limiter)) = (&local.charge, &local.core.limiter) else {
            return Self::Flat;
        };
        let weight = charge.weight(request);
        match charge.key(request) {
            Some(key) => Self::with_key(limiter, key, weight).0,
            None => Self::In {
                bucket: limiter.global().clone(),
                weight,
            },
        }
    }

    /// With the bucket of the key, or when to look again.
    fn with_key(limiter: &Limiter, key: Key, weight: u32) -> (Self, Option<Instant>) {
        match limiter.bucket(Some(key.clone()), Instant::now()) {
            Ok(bucket) => (Self::In { bucket, weight }, None),
            Err(later) => (Self::Crowded(Box::new((key, weight))), Some(later)),
        }
    }

    /// Looks for a bucket that was not there. `Some` says when to look again: every key that
    /// the limiter may keep is in use.
    pub(super) fn find_bucket(&mut self, core: &Core) -> Option<Instant> {
        let (Self::Crowded(kept), Some(limiter)) = (&*self, &core.limiter) else {
            return None;
        };
        let (key, weight) = (**kept).clone();
        let (found, later) = Self::with_key(limiter, key, weight);
        *self = found;
        later
    }

    /// What is wanted of the limiter; nothing where there is none.
    pub(super) fn want<'a>(&'a self, core: &'a Core) -> Option<Want<'a>> {
        match self {
            Self::Flat => Want::flat(core),
            Self::In { bucket, weight } => Some(Want {
                bucket,
                weight: *weight,
            }),
            Self::Crowded(_) => None,
        }
    }
}
