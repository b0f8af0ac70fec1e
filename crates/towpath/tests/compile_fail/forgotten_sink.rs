//! A flow that ends nowhere does nothing.

#![deny(unused_must_use)]

use towpath::{Batcher, Flow, Source};

fn main() {
    Flow::from(Source::iter("numbers", 0..10_u32)).map(|n| n + 1);
    Flow::from(Source::iter("more", 0..10_u32)).batch(Batcher::new("collect"));
    Flow::from(Source::iter("rest", 0..10_u32)).acknowledge();
}
