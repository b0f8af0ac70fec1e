//! The handler returns its result, and not a future of it.

use towpath::{BoxError, Flow, Processor, Source};

fn main() {
    let _ = Flow::from(Source::iter("numbers", 0..10_u32))
        .process(Processor::new("double", |n: u32| Ok::<_, BoxError>(n * 2)))
        .acknowledge();
}
