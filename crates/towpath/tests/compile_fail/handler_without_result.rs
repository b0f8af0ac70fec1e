//! The handler returns its value, and not a result.

use towpath::{Flow, Processor, Source};

fn main() {
    let _ = Flow::from(Source::iter("numbers", 0..10_u32))
        .process(Processor::new("double", |n: u32| async move { n * 2 }))
        .acknowledge();
}
