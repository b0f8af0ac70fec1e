//! The end of a pipeline without a sink: what gets here is done.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Context, Poll},
};

use towpath_core::{Message, Outlet, Settler};

/// How many messages are settled in one run.
const ROOM: usize = 64;

/// Acknowledges every message.
#[derive(Default)]
pub(crate) struct Acknowledge {
    settler: Settler,
}

impl<T: Send> Outlet<Message<T>> for Acknowledge {
    fn poll_room(&mut self, _cx: &mut Context<'_>) -> Poll<usize> {
        Poll::Ready(ROOM)
    }

    fn accept(&mut self, items: &mut VecDeque<Message<T>>) {
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
