//! The routes of the branches are of another type than the route function gives.

use towpath::{Flow, Source};

fn main() {
    let _ = Flow::from(Source::iter("numbers", 0..10_u32)).route(
        "parity",
        |n| n % 2,
        |branches| {
            branches
                .to("even", |flow| flow.acknowledge())
                .to("odd", |flow| flow.acknowledge())
        },
    );
}
