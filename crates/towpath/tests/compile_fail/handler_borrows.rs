//! The handler borrows from its function, and the pipeline may outlive that.

use towpath::{BoxError, Flow, Processor, Source};

fn main() {
    let factor = 3;
    let handle = |n: u32| {
        let factor = &factor;
        async move { Ok::<_, BoxError>(n * factor) }
    };
    let _ = Flow::from(Source::iter("numbers", 0..10_u32))
        .process(Processor::new("times", handle))
        .acknowledge();
}
