//! The pipelines that run in this process, by name.

use std::{
    collections::BTreeMap,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};

use towpath_core::StageName;

use crate::PipelineHandle;

static RUNNING: LazyLock<Mutex<BTreeMap<StageName, PipelineHandle>>> =
    LazyLock::new(Mutex::default);

fn lock() -> MutexGuard<'static, BTreeMap<StageName, PipelineHandle>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The pipelines that run in this process, by name.
pub fn running() -> Vec<PipelineHandle> {
    lock().values().cloned().collect()
}

/// The running pipeline of that name.
pub fn find(name: &str) -> Option<PipelineHandle> {
    lock().get(&StageName::from(name)).cloned()
}

/// A name that is taken until this is dropped. Each task of the pipeline holds on to it:
/// a successor of the same name never runs beside what is left of its predecessor.
#[derive(Debug)]
pub(crate) struct Registered(PipelineHandle);

/// Takes the name of a pipeline; `None` if another one has it.
pub(crate) fn register(handle: &PipelineHandle) -> Option<Registered> {
    let mut running = lock();
    let name = handle.name().clone();
    if running.contains_key(&name) {
        return None;
    }
    running.insert(name, handle.clone());
    Some(Registered(handle.clone()))
}

impl Drop for Registered {
    fn drop(&mut self) {
        lock().remove(self.0.name());
        // Whoever waits must learn it too when the pipeline was dropped and not stopped.
        self.0.0.stopped.send_replace(true);
    }
}
