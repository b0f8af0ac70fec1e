//! The sink writes batches of text, and the flow carries numbers.

use towpath::{Batch, Batcher, BoxError, Flow, Source, write};

fn main() {
    let _ = Flow::from(Source::iter("numbers", 0..10_u32))
        .batch(Batcher::new("collect"))
        .sink(write("print", |batch: Batch<String>| async move {
            batch.items().iter().for_each(|line| println!("{line}"));
            Ok::<_, BoxError>(())
        }));
}
