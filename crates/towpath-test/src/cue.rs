//! A handler for tests: does nothing, fails, panics or hangs on cue.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use towpath::{BoxError, Failure};

use crate::{
    hold::{Hold, lock, wait_until},
    recorder::Running,
};

/// Makes a handler that hands its payload on, and fails, panics or hangs on cue.
/// Cloning gives another handle on the same calls.
///
/// ```
/// use towpath::Processor;
/// use towpath_test::Cue;
///
/// let cue = Cue::new().panic_when(|n: &u32| *n == 13);
/// let processor = Processor::new("thirteen", cue.handler());
/// # let _ = processor;
/// ```
pub struct Cue<T>(Arc<Script<T>>);

struct Script<T> {
    acts: Mutex<Acts<T>>,
    starts: Mutex<Vec<T>>,
    ends: AtomicUsize,
    running: AtomicUsize,
    max_running: AtomicUsize,
    hold: Hold,
    changed: Notify,
}

type When<T> = Arc<dyn Fn(&T) -> bool + Send + Sync>;
type Lasting<T> = Arc<dyn Fn(&T) -> Duration + Send + Sync>;

struct Acts<T> {
    fail: Option<When<T>>,
    retry: Option<When<T>>,
    drop: Option<When<T>>,
    panic: Option<When<T>>,
    hang: Option<When<T>>,
    delay: Option<Lasting<T>>,
}

impl<T: Clone + Send + Sync + 'static> Cue<T> {
    /// Hands everything on at once.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Script {
            acts: Mutex::new(Acts::none()),
            starts: Mutex::default(),
            ends: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            max_running: AtomicUsize::new(0),
            hold: Hold::new(),
            changed: Notify::new(),
        }))
    }

    /// Rejects the messages that `when` picks.
    #[must_use]
    pub fn fail_when(self, when: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        lock(&self.0.acts).fail = Some(Arc::new(when));
        self
    }

    /// Gives the messages back that `when` picks.
    #[must_use]
    pub fn retry_when(self, when: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        lock(&self.0.acts).retry = Some(Arc::new(when));
        self
    }

    /// Drops the messages that `when` picks, for the reason `cue`.
    #[must_use]
    pub fn drop_when(self, when: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        lock(&self.0.acts).drop = Some(Arc::new(when));
        self
    }

    /// Panics over the messages that `when` picks.
    #[must_use]
    pub fn panic_when(self, when: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        lock(&self.0.acts).panic = Some(Arc::new(when));
        self
    }

    /// Hangs over the messages that `when` picks, until [`release`](Self::release).
    #[must_use]
    pub fn hang_when(self, when: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        lock(&self.0.acts).hang = Some(Arc::new(when));
        self
    }

    /// Takes so long over each message.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        self.delay_by(move |_| delay)
    }

    /// Takes over each message as long as `delay` says.
    #[must_use]
    pub fn delay_by(self, delay: impl Fn(&T) -> Duration + Send + Sync + 'static) -> Self {
        lock(&self.0.acts).delay = Some(Arc::new(delay));
        self
    }

    /// The handler, for [`Processor::new`](towpath::Processor::new).
    pub fn handler(
        &self,
    ) -> impl Fn(T) -> BoxFuture<'static, Result<T, BoxError>> + Clone + Send + Sync + 'static {
        let script = self.0.clone();
        move |item| {
            let script = script.clone();
            Box::pin(async move { script.act(item).await })
        }
    }

    /// Lets go of what hangs, now and later.
    pub fn release(&self) {
        self.0.hold.release();
    }

    /// How often the handler was called.
    pub fn calls(&self) -> usize {
        lock(&self.0.starts).len()
    }

    /// How often the handler was called with `item`.
    pub fn calls_of(&self, item: &T) -> usize
    where
        T: PartialEq,
    {
        let starts = lock(&self.0.starts);
        starts.iter().filter(|start| *start == item).count()
    }

    /// What the handler was called with, in the order it began.
    pub fn starts(&self) -> Vec<T> {
        lock(&self.0.starts).clone()
    }

    /// How many calls have ended, however: returned, panicked or dropped.
    pub fn ends(&self) -> usize {
        self.0.ends.load(SeqCst)
    }

    /// How many calls run now.
    pub fn running(&self) -> usize {
        self.0.running.load(SeqCst)
    }

    /// The most calls that ran at once.
    pub fn max_running(&self) -> usize {
        self.0.max_running.load(SeqCst)
    }

    /// Waits until the handler was called `n` times.
    pub async fn wait_for(&self, n: usize) {
        wait_until(&self.0.changed, || self.calls() >= n).await;
    }

    /// Waits until `n` calls have ended, however.
    pub async fn wait_for_ends(&self, n: usize) {
        wait_until(&self.0.changed, || self.ends() >= n).await;
    }
}

impl<T: Clone> Script<T> {
    async fn act(&self, item: T) -> Result<T, BoxError> {
        let acts = lock(&self.acts).clone();
        lock(&self.starts).push(item.clone());
        self.changed.notify_waiters();
        let _end = End(self);
        let _running = Running::enter(&self.running, &self.max_running);
        acts.wait(&item, &self.hold).await;
        acts.judge(&item)?;
        Ok(item)
    }
}

impl<T> Acts<T> {
    fn none() -> Self {
        Self {
            fail: None,
            retry: None,
            drop: None,
            panic: None,
            hang: None,
            delay: None,
        }
    }

    async fn wait(&self, item: &T, hold: &Hold) {
        if let Some(delay) = &self.delay {
            tokio::time::sleep(delay(item)).await;
        }
        if picks(self.hang.as_ref(), item) {
            hold.wait().await;
        }
    }

    fn judge(&self, item: &T) -> Result<(), BoxError> {
        assert!(
            !picks(self.panic.as_ref(), item),
            "the handler panics on cue"
        );
        if picks(self.fail.as_ref(), item) {
            return Err("the handler fails on cue".into());
        }
        if picks(self.retry.as_ref(), item) {
            return Err(Failure::retry("the handler retries on cue").into());
        }
        if picks(self.drop.as_ref(), item) {
            return Err(Failure::drop("cue").into());
        }
        Ok(())
    }
}

fn picks<T>(when: Option<&When<T>>, item: &T) -> bool {
    when.is_some_and(|when| when(item))
}

/// Counts the end of a call, however it comes.
struct End<'a, T>(&'a Script<T>);

impl<T> Drop for End<'_, T> {
    fn drop(&mut self) {
        self.0.ends.fetch_add(1, SeqCst);
        self.0.changed.notify_waiters();
    }
}

impl<T> Clone for Acts<T> {
    fn clone(&self) -> Self {
        Self {
            fail: self.fail.clone(),
            retry: self.retry.clone(),
            drop: self.drop.clone(),
            panic: self.panic.clone(),
            hang: self.hang.clone(),
            delay: self.delay.clone(),
        }
    }
}

impl<T> Clone for Cue<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Clone + Send + Sync + 'static> Default for Cue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Cue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cue")
            .field("calls", &lock(&self.0.starts).len())
            .finish_non_exhaustive()
    }
}
