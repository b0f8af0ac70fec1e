//! What a call costs at the limiter, and in whose bucket.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    admission::Want,
    core::{Core, Local},
};
use crate::{
    Key,
    rate::{Bucket, Charge},
};

/// What a call costs.
#[derive(Debug, Default)]
pub(super) enum Charged {
    /// One token of the one bucket, or nothing where there is no limiter.
    #[default]
    Flat,
    /// As the request says.
    ByRequest {
        key: Option<Key>,
        weight: u32,
        /// Looked up when the call first asks; a limiter has a bound on its keys.
        bucket: Option<Arc<Bucket>>,
    },
}

impl Charged {
    /// Asks what `request` costs.
    pub(super) fn of<S, L, Q>(local: &Local<S, L>, request: &Q) -> Self
    where
        L: Charge<Q>,
    {
        let Some(charge) = &local.charge else {
            return Self::Flat;
        };
        Self::ByRequest {
            key: charge.key(request),
            weight: charge.weight(request),
            bucket: None,
        }
    }

    /// Looks for the bucket, unless it is known. `Some` says when to look again: every key
    /// that the limiter may keep is in use.
    pub(super) fn find_bucket(&mut self, core: &Core) -> Option<Instant> {
        let (Self::ByRequest { key, bucket, .. }, Some(limiter)) = (self, &core.limiter) else {
            return None;
        };
        if bucket.is_some() {
            return None;
        }
        match limiter.bucket(key.clone(), Instant::now()) {
            Ok(found) => {
                *bucket = Some(found);
                None
            }
            Err(later) => Some(later),
        }
    }

    /// What is wanted of the limiter; nothing where there is none.
    pub(super) fn want<'a>(&'a self, core: &'a Core) -> Option<Want<'a>> {
        let limiter = core.limiter.as_ref()?;
        match self {
            Self::Flat => Some(Want {
                bucket: limiter.global(),
                weight: 1,
            }),
            Self::ByRequest { weight, bucket, .. } => Some(Want {
                bucket: bucket.as_deref()?,
                weight: *weight,
            }),
        }
    }
}
