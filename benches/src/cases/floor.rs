//! The floor: one loop that makes, handles and batches, with no task switch at all.

use tokio::runtime::Runtime;

use crate::case::{Case, Job};
use crate::message::{Counts, Message, Tally, rows, source};
use crate::runtime::on_worker;
use crate::service::{BATCH, decode_map_filter};

pub(super) const CASES: [Case; 3] = [
    Case {
        job: Job::Bare,
        contender: "floor",
        run: bare,
    },
    Case {
        job: Job::Batched,
        contender: "floor",
        run: batched,
    },
    Case {
        job: Job::Decoded,
        contender: "floor",
        run: decoded,
    },
];

fn bare(runtime: &Runtime, messages: u32) -> Counts {
    on_worker(runtime, async move {
        in_batches::<64>(source(messages).map(Message::handled))
    })
}

fn batched(runtime: &Runtime, messages: u32) -> Counts {
    on_worker(runtime, async move {
        in_batches::<BATCH>(source(messages).map(Message::handled))
    })
}

fn decoded(runtime: &Runtime, messages: u32) -> Counts {
    on_worker(runtime, async move {
        in_batches::<BATCH>(rows(messages).filter_map(|row| decode_map_filter(&row)))
    })
}

fn in_batches<const SIZE: usize>(messages: impl Iterator<Item = Message>) -> Counts {
    let tally = Tally::default();
    let mut batch = Vec::with_capacity(SIZE);
    for message in messages {
        batch.push(message);
        if batch.len() == SIZE {
            tally.settle(&batch);
            batch.clear();
        }
    }
    tally.settle(&batch);
    tally.counts()
}
