//! A tee copies its messages, and this payload cannot be copied.

use towpath::{Flow, Source};

struct Ticket(u32);

fn main() {
    let _ = Flow::from(Source::iter("tickets", [Ticket(1), Ticket(2)])).tee("both", |copies| {
        copies
            .required("first", |flow| flow.map(|t| t.0).acknowledge())
            .required("second", |flow| flow.map(|t| t.0).acknowledge())
    });
}
