//! The part of async-channel that a link uses, on primitives that the checker schedules.
//!
//! async-channel's own waiting is not part of it: the link does not use that.

use std::collections::VecDeque;

use async_channel::{TryRecvError, TrySendError};
use shuttle::sync::{Arc, Mutex, MutexGuard};

pub(crate) fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let queue = Queue {
        items: VecDeque::with_capacity(capacity),
        capacity,
        closed: false,
    };
    let queue = Arc::new(Mutex::new(queue));
    (Sender(queue.clone()), Receiver(queue))
}

#[derive(Debug)]
pub(crate) struct Sender<T>(Arc<Mutex<Queue<T>>>);

#[derive(Debug)]
pub(crate) struct Receiver<T>(Arc<Mutex<Queue<T>>>);

#[derive(Debug)]
struct Queue<T> {
    items: VecDeque<T>,
    capacity: usize,
    closed: bool,
}

impl<T> Sender<T> {
    pub(crate) fn try_send(&self, item: T) -> Result<(), TrySendError<T>> {
        let mut queue = lock(&self.0);
        if queue.closed {
            return Err(TrySendError::Closed(item));
        }
        if queue.items.len() == queue.capacity {
            return Err(TrySendError::Full(item));
        }
        queue.items.push_back(item);
        Ok(())
    }

    pub(crate) fn close(&self) -> bool {
        !std::mem::replace(&mut lock(&self.0).closed, true)
    }
}

impl<T> Receiver<T> {
    pub(crate) fn try_recv(&self) -> Result<T, TryRecvError> {
        let mut queue = lock(&self.0);
        let none = if queue.closed {
            TryRecvError::Closed
        } else {
            TryRecvError::Empty
        };
        queue.items.pop_front().ok_or(none)
    }

    pub(crate) fn len(&self) -> usize {
        lock(&self.0).items.len()
    }
}

fn lock<T>(queue: &Mutex<Queue<T>>) -> MutexGuard<'_, Queue<T>> {
    queue.lock().expect("no user code runs under this lock")
}
