//! Batches go to a sink: there is nothing to run before it.

use towpath::{Batcher, Flow, Source};

fn main() {
    let _ = Flow::from(Source::iter("numbers", 0..10_u32))
        .batch(Batcher::new("collect"))
        .run();
}
