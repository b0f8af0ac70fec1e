//! A pipeline that only moves when it is told to.

use std::sync::{Arc, Mutex, MutexGuard};

use towpath_core::{Inspect, Phase, StageName, Status, Telemetry};

use crate::{Monitor, metrics::read::full_status};

/// A pipeline with that status.
pub(crate) struct Still {
    name: StageName,
    status: Mutex<Status>,
}

impl Still {
    /// One with figures of all kinds, and a monitor that watches it.
    pub(crate) fn watched_by(monitor: &Monitor) -> Arc<Self> {
        let status = full_status();
        let still = Arc::new(Self {
            name: status.name.clone(),
            status: Mutex::new(status),
        });
        monitor.watch(Arc::clone(&still) as Arc<dyn Inspect>);
        still
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.now());
    }

    fn now(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap()
    }
}

impl Inspect for Still {
    fn name(&self) -> &StageName {
        &self.name
    }

    fn phase(&self) -> Phase {
        self.now().phase
    }

    fn status(&self) -> Status {
        self.now().clone()
    }

    fn diagram(&self) -> String {
        String::new()
    }
}
