//! A modelled link with its tasks, and what must be true when they have ended.

use std::num::NonZeroUsize;

use shuttle::future::{JoinHandle, block_on, spawn};
use towpath_link::{
    Receiver, Sender, Size,
    invariants::{Census, credit_is_home},
    link,
};

use crate::{
    ledger::{Item, Ledger},
    roles::{put, send},
};

/// Tells how many items it has dropped.
pub(crate) type Task = JoinHandle<usize>;

pub(crate) struct World {
    pub(crate) size: Size,
    pub(crate) sender: Sender<Item>,
    pub(crate) receiver: Receiver<Item>,
    pub(crate) ledger: Ledger,
}

impl World {
    pub(crate) fn new(buffers: usize, max_demand: usize) -> Self {
        let of = |number| NonZeroUsize::new(number).expect("a link holds something");
        let size = Size {
            buffers: of(buffers),
            max_demand: of(max_demand),
        };
        let (sender, receiver) = link(size);
        let ledger = Ledger::default();
        Self {
            size,
            sender,
            receiver,
            ledger,
        }
    }

    /// Meets all demand at once.
    pub(crate) fn fill(&mut self) {
        while let Some(mut chunk) = self.sender.try_chunk() {
            (0..chunk.room()).for_each(|_| put(&mut chunk, &self.ledger));
            self.sender.send(chunk);
        }
    }

    /// So many tasks that send so many items each.
    pub(crate) fn senders(&self, tasks: usize, items: usize) -> Vec<Task> {
        self.upstream(tasks, move |sender, ledger| send(sender, ledger, items))
    }

    pub(crate) fn upstream<F>(
        &self,
        tasks: usize,
        role: impl Fn(Sender<Item>, Ledger) -> F,
    ) -> Vec<Task>
    where
        F: Future<Output = usize> + Send + 'static,
    {
        let start = |_| spawn(role(self.sender.clone(), self.ledger.clone()));
        (0..tasks).map(start).collect()
    }

    pub(crate) fn receivers<F>(&self, tasks: usize, role: impl Fn(Receiver<Item>) -> F) -> Vec<Task>
    where
        F: Future<Output = usize> + Send + 'static,
    {
        let start = |_| spawn(role(self.receiver.clone()));
        (0..tasks).map(start).collect()
    }

    /// The tasks end, and all but what they dropped was received, once.
    pub(crate) fn end(self, tasks: impl IntoIterator<Item = Task>) {
        let Self {
            size,
            sender,
            mut receiver,
            ledger,
        } = self;
        drop(sender);
        let dropped = join(tasks);
        assert!(block_on(receiver.recv()).is_none(), "the link has ended");
        assert_eq!(ledger.account().lost.len(), dropped);
        assert_idle(size, &receiver, &ledger);
    }

    /// The tasks end although nobody receives any more, and nothing is left inside.
    pub(crate) fn end_abandoned(self, tasks: impl IntoIterator<Item = Task>) {
        let Self {
            mut sender,
            receiver,
            ledger,
            ..
        } = self;
        drop(receiver);
        join(tasks);
        assert!(block_on(sender.chunk()).is_none(), "demand has ended");
        assert_eq!((sender.full_chunks(), sender.empty_chunks()), (0, 0));
        let account = ledger.account();
        assert!(account.is_settled(), "{account:?}");
    }
}

/// Each item left once, there were never too many, and all credit is home.
fn assert_idle(size: Size, receiver: &Receiver<Item>, ledger: &Ledger) {
    let account = ledger.account();
    assert!(account.is_settled(), "{account:?}");
    assert!(account.high_water <= size.bound(), "{account:?}");
    let census = Census {
        empty: receiver.empty_chunks(),
        full: receiver.full_chunks(),
        held: 0,
        items: account.inside(),
    };
    assert!(credit_is_home(size, census), "{census:?}");
}

/// The sum of what the tasks have dropped.
pub(crate) fn join(tasks: impl IntoIterator<Item = Task>) -> usize {
    let ends = tasks.into_iter().map(block_on);
    ends.map(|end| end.expect("nobody aborts it")).sum()
}
