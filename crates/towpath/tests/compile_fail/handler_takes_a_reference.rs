//! The handler gets its payload, and not a reference to it.

use towpath::{BoxError, Flow, Processor, Source};

fn main() {
    let _ = Flow::from(Source::iter("lines", ["a".to_owned()]))
        .process(Processor::new("length", |line: &String| {
            let length = line.len();
            async move { Ok::<_, BoxError>(length) }
        }))
        .acknowledge();
}
