//! Options of a dedup that were read have no key yet.

use towpath::{Dedup, prelude::*};

fn stage(dedup: Dedup) -> Pipeline {
    let handle = |n: u32| async move { Ok::<_, BoxError>(n * 2) };
    Flow::from(Source::iter("numbers", 0..10_u32))
        .process(Processor::new("double", handle).dedup(dedup))
        .acknowledge()
}

fn main() {
    let _ = stage;
}
