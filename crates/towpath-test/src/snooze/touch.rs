//! T1 and T2: a lock or a small pool that stages share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, Semaphore, SemaphorePermit},
    task::yield_now,
    time::sleep,
};
use towpath::Report;

use super::{Snoozed, Subject, enough, in_time, run};
use crate::hold::wait_until;

/// Something that is shared: a lock (T1), or a pool of a few connections (T2).
/// Cloning gives another handle on the same.
#[derive(Clone, Debug)]
pub struct Touch(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    pool: Arc<Semaphore>,
    permits: u32,
    hold: Duration,
    touches: AtomicU64,
    hangs: AtomicU64,
    changed: Notify,
}

impl Touch {
    /// Something of which `permits` can be held at once, each for `hold` when it is touched.
    pub fn new(permits: u32, hold: Duration) -> Self {
        Self(Arc::new(Shared {
            pool: Arc::new(Semaphore::new(permits as usize)),
            permits,
            hold,
            touches: AtomicU64::new(0),
            hangs: AtomicU64::new(0),
            changed: Notify::new(),
        }))
    }

    /// Takes it, holds it for a while over an await, and gives it back.
    pub fn touch(&self) -> impl Future<Output = ()> + Send + use<> {
        let shared = self.0.clone();
        async move {
            let _permit = shared.take().await;
            if shared.hold.is_zero() {
                return yield_now().await;
            }
            sleep(shared.hold).await;
        }
    }

    /// Takes it and holds it for ever: until the future is dropped.
    pub fn hang(&self) -> impl Future<Output = ()> + Send + use<> {
        let shared = self.0.clone();
        async move {
            let _permit = shared.take().await;
            shared.hangs.fetch_add(1, SeqCst);
            shared.changed.notify_waiters();
            std::future::pending::<()>().await;
        }
    }

    /// What is shared itself, for a layer that takes permits of a semaphore.
    pub fn semaphore(&self) -> Arc<Semaphore> {
        self.0.pool.clone()
    }

    /// Whether nobody holds it now.
    pub fn is_free(&self) -> bool {
        self.0.pool.available_permits() == self.0.permits as usize
    }

    /// How often it was taken by [`touch`](Self::touch) or [`hang`](Self::hang).
    pub fn touches(&self) -> u64 {
        self.0.touches.load(SeqCst)
    }

    /// Waits until somebody [hangs](Self::hang) with it in hand.
    pub async fn held(&self) {
        wait_until(&self.0.changed, || self.0.hangs.load(SeqCst) > 0).await;
    }

    /// The time in which all touches so far fit, one after the other, twice over.
    fn enough_time(&self) -> Duration {
        let turns = u32::try_from(self.touches()).unwrap_or(u32::MAX);
        self.0.hold * turns * 2
    }
}

impl Shared {
    async fn take(&self) -> SemaphorePermit<'_> {
        let permit = self.pool.acquire().await.expect("the pool is never closed");
        self.touches.fetch_add(1, SeqCst);
        permit
    }
}

/// T1: runs a pipeline whose stages share a lock that each use holds for 1 ms.
///
/// # Errors
/// Fails when the pipeline hangs, takes more than twice as long as the lock was in use,
/// or shows nothing.
pub async fn shared_lock<S: Subject>(build: impl FnOnce(Touch) -> S) -> Result<Report, Snoozed> {
    sharing(Touch::new(1, Duration::from_millis(1)), build).await
}

/// T2: runs a pipeline whose stages share a pool of five, each use of which takes 2 ms.
///
/// # Errors
/// As [`shared_lock`].
pub async fn small_pool<S: Subject>(build: impl FnOnce(Touch) -> S) -> Result<Report, Snoozed> {
    sharing(Touch::new(5, Duration::from_millis(2)), build).await
}

async fn sharing<S: Subject>(
    touch: Touch,
    build: impl FnOnce(Touch) -> S,
) -> Result<Report, Snoozed> {
    let (report, took) = run(build(touch.clone())).await?;
    enough(&report)?;
    let times = touch.touches();
    if times < report.counts.emitted {
        return Err(Snoozed::Unused { times });
    }
    in_time(took, touch.enough_time())?;
    Ok(report)
}
