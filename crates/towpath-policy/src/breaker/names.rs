//! The breakers that are shared by name, in this process.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, Weak},
};

use tokio::time::Instant;

use super::{settings::Settings, shared::Shared};
use crate::lock::lock;

/// Holds no breaker alive; those that are gone are forgotten when the next one is built.
static LIVING: Mutex<BTreeMap<Arc<str>, Weak<Shared>>> = Mutex::new(BTreeMap::new());

/// The living breaker of that name, whatever its settings are, or a new one.
pub(super) fn share(settings: &Settings, now: Instant) -> Arc<Shared> {
    let make = || Arc::new(Shared::new(settings.clone(), now));
    let Some(name) = &settings.name else {
        return make();
    };
    let mut living = lock(&LIVING);
    living.retain(|_, breaker| breaker.strong_count() > 0);
    if let Some(shared) = living.get(name).and_then(Weak::upgrade) {
        return shared;
    }
    let shared = make();
    living.insert(name.clone(), Arc::downgrade(&shared));
    shared
}

/// How many names with this beginning are held, of breakers that live or not.
#[cfg(all(test, not(shuttle)))]
pub(super) fn count(beginning: &str) -> usize {
    let living = lock(&LIVING);
    let names = living.keys();
    names.filter(|name| name.starts_with(beginning)).count()
}
