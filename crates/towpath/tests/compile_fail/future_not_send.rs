//! The handler's future holds something over an await that must stay on its thread.

use std::rc::Rc;

use towpath::{BoxError, Flow, Processor, Source};

fn main() {
    let _ = Flow::from(Source::iter("numbers", 0..10_u32))
        .process(Processor::new("count", |n: u32| async move {
            let counted = Rc::new(n);
            tokio::task::yield_now().await;
            Ok::<_, BoxError>(*counted)
        }))
        .acknowledge();
}
