//! A call is tried again with its payload, which must be `Clone` for that.

use std::time::Duration;

use towpath::{Retry, prelude::*};

struct Ticket(u32);

fn main() {
    let handle = |ticket: Ticket| async move { Ok::<_, BoxError>(ticket.0) };
    let _ = Flow::from(Source::iter("tickets", [Ticket(1), Ticket(2)]))
        .process(Processor::new("check", handle).retry(Retry::fixed(Duration::from_secs(1))))
        .acknowledge();
}
