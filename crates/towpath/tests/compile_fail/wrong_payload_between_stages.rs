//! The second stage takes something else than the first gives.

use towpath::{BoxError, Flow, Processor, Source};

fn main() {
    let _ = Flow::from(Source::iter("numbers", 0..10_u32))
        .process(Processor::new("print", |n: u32| async move { Ok::<_, BoxError>(n.to_string()) }))
        .process(Processor::new("double", |n: u32| async move { Ok::<_, BoxError>(n * 2) }))
        .acknowledge();
}
