//! A fallback answers with what the service answers with.

use towpath::{Fallback, prelude::*};

fn main() {
    let _ = Flow::from(Source::iter("numbers", 0..10_u32))
        .process(
            Processor::new("double", |n: u32| async move { Ok::<_, BoxError>(n * 2) })
                .fallback(Fallback::value("nothing")),
        )
        .acknowledge();
}
