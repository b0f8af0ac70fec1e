//! The buckets of keys: a bounded number, of which only those are dropped that are as
//! good as fresh, so that forgetting a key gives nobody budget.

use std::sync::Arc;

use hashlink::LruCache;

use super::bucket::Bucket;
use crate::Key;

/// Buckets by key, the one that was not asked for the longest first.
pub(super) struct Keys {
    buckets: LruCache<Key, Arc<Bucket>>,
    most: usize,
    /// No bucket can be dropped before: nobody needs to look through all of them.
    full_until: u64,
}

/// When a bucket is as good as fresh.
pub(super) type FreshAt<'a> = dyn Fn(&Bucket) -> u64 + 'a;

/// How long buckets that are in use are left alone before they are looked at again.
const AGAIN: u64 = 10_000_000;

impl Keys {
    pub(super) fn new(most: usize) -> Self {
        Self {
            buckets: LruCache::new_unbounded(),
            most: most.max(1),
            full_until: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.buckets.len()
    }

    pub(super) fn buckets(&self) -> impl Iterator<Item = &Bucket> {
        self.buckets.iter().map(|(_, bucket)| &**bucket)
    }

    pub(super) fn find(&mut self, key: &Key) -> Option<&Arc<Bucket>> {
        self.buckets.get(key)
    }

    /// Makes room for one more, or says when there may be some.
    pub(super) fn make_room(&mut self, now: u64, fresh_at: &FreshAt<'_>) -> Result<(), u64> {
        if self.buckets.len() < self.most {
            return Ok(());
        }
        if now < self.full_until {
            return Err(self.full_until);
        }
        let mut soonest = u64::MAX;
        let mut stale = None;
        for (key, bucket) in &self.buckets {
            match droppable_at(bucket, now, fresh_at) {
                at if at <= now => {
                    stale = Some(key.clone());
                    break;
                }
                at => soonest = soonest.min(at),
            }
        }
        let Some(stale) = stale else {
            self.full_until = soonest;
            return Err(soonest);
        };
        self.buckets.remove(&stale);
        Ok(())
    }

    pub(super) fn add(&mut self, key: Key, bucket: Arc<Bucket>) {
        self.buckets.insert(key, bucket);
    }

    pub(super) fn all(&self) -> Vec<Arc<Bucket>> {
        let buckets = self.buckets.iter();
        buckets.map(|(_, bucket)| bucket.clone()).collect()
    }
}

/// A bucket that somebody waits at, or may give back to, stays.
fn droppable_at(bucket: &Arc<Bucket>, now: u64, fresh_at: &FreshAt<'_>) -> u64 {
    let fresh_at = fresh_at(bucket);
    let is_in_use = Arc::strong_count(bucket) > 1 || !bucket.line().is_empty();
    if is_in_use {
        fresh_at.max(now.saturating_add(AGAIN))
    } else {
        fresh_at
    }
}
