//! Lanes are told apart by hashing their keys, and this one cannot be hashed.

use towpath::{BoxError, Flow, Processor, Source};

#[derive(Clone, PartialEq)]
struct Region(f64);

fn main() {
    let _ = Flow::from(Source::iter("numbers", 0..10_u32))
        .process(
            Processor::new("handle", |n: u32| async move { Ok::<_, BoxError>(n) })
                .by_key(8, |n: &u32| Region(f64::from(*n))),
        )
        .acknowledge();
}
