//! The end of a pipeline without a sink: what gets here is done.

use std::{
    collections::VecDeque,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Context, Poll},
};

use towpath_core::{Message, Outlet, Settler};

/// Acknowledges every message.
pub(crate) struct Acknowledge {
    /// How many messages are taken and settled in one run.
    room: usize,
    settler: Settler,
}

impl Acknowledge {
    pub(crate) fn new(room: usize) -> Self {
        Self {
            room,
            settler: Settler::default(),
        }
    }
}

impl<T: Send> Outlet<Message<T>> for Acknowledge {
    fn poll_room(&mut self, _cx: &mut Context<'_>) -> Poll<usize> {
        Poll::Ready(self.room)
    }

    fn accept(&mut self, items: &mut VecDeque<Message<T>>) {
        if !mem::needs_drop::<T>() {
            self.settler.settle_in_place(items.iter_mut());
            items.clear();
        }
        while !items.is_empty() {
            // A payload that panics when dropped has been processed all the same.
            drop(catch_unwind(AssertUnwindSafe(|| {
                while let Some(message) = items.pop_front() {
                    let (payload, receipt) = message.into_parts();
                    self.settler.push(receipt);
                    drop(payload);
                }
            })));
        }
    }

    fn flush(&mut self) {
        self.settler.flush();
    }
}
