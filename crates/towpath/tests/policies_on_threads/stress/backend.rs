//! A handler that does anything.

use std::{
    panic::resume_unwind,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
};

use tokio::{task::yield_now, time::sleep};
use towpath::{
    BoxError,
    policy::{HttpStatus, RetryAfter},
};

use crate::{Chance, ms};

#[derive(Clone, Debug)]
pub(super) struct Backend(Arc<Script>);

#[derive(Debug)]
struct Script {
    seed: u64,
    hangs: bool,
    calls: AtomicU64,
    running: AtomicUsize,
    most: AtomicUsize,
}

/// A call that runs.
struct Running(Backend);

impl Backend {
    pub(super) fn new(seed: u64, hangs: bool) -> Self {
        Self(Arc::new(Script {
            seed,
            hangs,
            calls: AtomicU64::new(0),
            running: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        }))
    }

    pub(super) fn running(&self) -> usize {
        self.0.running.load(SeqCst)
    }

    pub(super) fn most(&self) -> usize {
        self.0.most.load(SeqCst)
    }

    /// For a processor: what it does depends on the seed and on how many calls there were.
    pub(super) fn call(
        &self,
        n: u64,
    ) -> impl Future<Output = Result<u64, BoxError>> + Send + use<> {
        let call = self.0.calls.fetch_add(1, SeqCst);
        let mut chance = Chance::new(self.0.seed ^ call << 20);
        if chance.one_in(200) {
            resume_unwind(Box::new("on cue, before there is a future"));
        }
        let running = Running::begin(self);
        // Now and then it is down for a while: each call of it is a probe then.
        let is_down = call / 25 % 12 == 3;
        async move {
            let hangs = running.0.0.hangs;
            if is_down && !chance.one_in(5) {
                return Err("down".into());
            }
            act(n, &mut chance, hangs).await
        }
    }
}

async fn act(n: u64, chance: &mut Chance, hangs: bool) -> Result<u64, BoxError> {
    match chance.below(100) {
        0..10 => yield_now().await,
        10..25 => sleep(ms(chance.within(1, 3))).await,
        25..37 => return Err("fails".into()),
        37..40 => {
            let busy = HttpStatus(429);
            return Err(RetryAfter::new(ms(chance.within(1, 3)), busy).into());
        }
        40..42 => return Err(HttpStatus(422).into()),
        42..44 => resume_unwind(Box::new("on cue")),
        44..46 if hangs => std::future::pending().await,
        _ => {}
    }
    Ok(n)
}

impl Running {
    fn begin(backend: &Backend) -> Self {
        let running = backend.0.running.fetch_add(1, SeqCst) + 1;
        backend.0.most.fetch_max(running, SeqCst);
        Self(backend.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.0.running.fetch_sub(1, SeqCst);
    }
}
