//! An iterator that blocks, run on the blocking pool a job at a time.

use std::{
    any::Any,
    future::poll_fn,
    mem,
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    sync::mpsc,
    task::{JoinError, JoinHandle, spawn_blocking},
};

/// Runs an iterator on the blocking pool and hands its items out as they come.
///
/// A job advances the iterator a given number of times. Its items wait in a channel
/// that has room for all of them, so that whoever stops waiting for one loses nothing.
pub(crate) struct OnPool<I: Iterator> {
    work: Work<I>,
    out: mpsc::Sender<I::Item>,
    items: mpsc::Receiver<I::Item>,
}

/// Idle -> Running -> (Idle | Panicked | Over); Panicked -> Idle
enum Work<I> {
    Idle(I),
    Running(JoinHandle<(I, Stop)>),
    Panicked(I, Box<dyn Any + Send>),
    Over,
}

/// Why a job stopped.
enum Stop {
    Enough,
    End,
    Panic(Box<dyn Any + Send>),
}

impl<I> OnPool<I>
where
    I: Iterator + Send + 'static,
    I::Item: Send + 'static,
{
    /// A job takes at most `ahead` items.
    pub(crate) fn new(items: I, ahead: NonZeroUsize) -> Self {
        let (out, waiting) = mpsc::channel(ahead.get().min(MAX_AHEAD));
        Self {
            work: Work::Idle(items),
            out,
            items: waiting,
        }
    }

    /// Starts a job for up to `count` items, unless one runs or its items still wait.
    pub(crate) fn start(&mut self, count: usize) {
        let count = count.min(self.out.capacity());
        if count == 0 {
            return;
        }
        self.work = match mem::replace(&mut self.work, Work::Over) {
            Work::Idle(items) => {
                let out = self.out.clone();
                Work::Running(spawn_blocking(move || run(items, count, &out)))
            }
            other => other,
        };
    }

    /// An item that is there already.
    pub(crate) fn try_next(&mut self) -> Option<I::Item> {
        self.items.try_recv().ok()
    }

    /// Waits for the next item, and starts a job of `count` items if none runs.
    ///
    /// `None` when the iterator has ended.
    ///
    /// # Errors
    /// Fails when the runtime shuts its blocking pool down: the iterator is gone then.
    ///
    /// # Panics
    /// Passes on a panic of the iterator, behind the items before it; the next call goes on.
    ///
    /// # Cancel safety
    /// Cancel safe: the job goes on, and its items wait.
    pub(crate) async fn next(&mut self, count: usize) -> Result<Option<I::Item>, JoinError> {
        poll_fn(|cx| self.poll_next(count, cx)).await
    }

    fn poll_next(
        &mut self,
        count: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<I::Item>, JoinError>> {
        loop {
            // What a finished job has sent comes before how it stopped.
            if let Some(item) = self.try_next() {
                return Poll::Ready(Ok(Some(item)));
            }
            match &mut self.work {
                Work::Idle(_) => self.start(count.max(1)),
                Work::Over => return Poll::Ready(Ok(None)),
                Work::Panicked(..) => self.pass_panic_on(),
                Work::Running(job) => match Pin::new(job).poll(cx) {
                    Poll::Ready(stopped) => self.stopped(stopped)?,
                    Poll::Pending => {
                        return Poll::Ready(Ok(ready!(self.items.poll_recv(cx))));
                    }
                },
            }
        }
    }

    fn stopped(&mut self, stopped: Result<(I, Stop), JoinError>) -> Result<(), JoinError> {
        // Over until it is known better: a job that was lost took the iterator with it.
        self.work = Work::Over;
        self.work = match stopped? {
            (items, Stop::Enough) => Work::Idle(items),
            (items, Stop::Panic(panic)) => Work::Panicked(items, panic),
            (_, Stop::End) => Work::Over,
        };
        Ok(())
    }

    fn pass_panic_on(&mut self) {
        if let Work::Panicked(items, panic) = mem::replace(&mut self.work, Work::Over) {
            self.work = Work::Idle(items);
            resume_unwind(panic);
        }
    }
}

/// More would be memory set aside for nothing.
const MAX_AHEAD: usize = 1024;

fn run<I: Iterator>(mut items: I, count: usize, out: &mpsc::Sender<I::Item>) -> (I, Stop) {
    for _ in 0..count {
        match catch_unwind(AssertUnwindSafe(|| items.next())) {
            Ok(Some(item)) => {
                // There is room for all items of a job: nobody listens any more.
                if out.try_send(item).is_err() {
                    break;
                }
            }
            Ok(None) => return (items, Stop::End),
            Err(panic) => return (items, Stop::Panic(panic)),
        }
    }
    (items, Stop::Enough)
}

impl<I: Iterator> Drop for OnPool<I> {
    fn drop(&mut self) {
        if let Work::Running(job) = &self.work {
            // Takes it back if no thread has begun with it.
            job.abort();
        }
    }
}
