//! A source in memory, for the sink under test: what is given back comes again.

use std::{collections::VecDeque, num::NonZeroU32};

use tokio::sync::watch;
use towpath::{
    BoxError, Delivery, Origin, Source,
    core::{Intake, Producer, Received, Unacknowledged},
    producer::Redeliver,
};

/// More attempts than any rule needs.
const ATTEMPTS: NonZeroU32 = NonZeroU32::new(100_000).expect("it is not zero");

/// Hands out items, as many as its gate lets through.
pub(super) struct Feed<T> {
    items: VecDeque<(T, Origin)>,
    given: usize,
    gate: watch::Receiver<usize>,
}

/// Says how many items of a feed may go.
pub(super) type Gate = watch::Sender<usize>;

// === impl Feed ===

impl<T: Clone + Send + 'static> Feed<T> {
    /// A source of these items, of which the first `open` may go at once.
    pub(super) fn source(items: Vec<(T, Origin)>, open: usize) -> (Source<Redeliver<Self>>, Gate) {
        let (sender, gate) = watch::channel(open);
        let feed = Self {
            items: items.into(),
            given: 0,
            gate,
        };
        let feed = Redeliver::new(feed).attempts(ATTEMPTS);
        (Source::new("feed", feed), sender)
    }
}

impl<T: Clone + Send + 'static> Producer for Feed<T> {
    type Payload = T;
    type Acknowledger = Unacknowledged;

    async fn receive(&mut self, intake: &mut Intake<T, ()>) -> Result<Received, BoxError> {
        let given = self.given;
        if !self.items.is_empty() {
            self.gate.wait_for(|open| *open > given).await?;
        }
        let open = *self.gate.borrow();
        while intake.room() > 0 && self.given < open {
            let Some((item, origin)) = self.items.pop_front() else {
                break;
            };
            self.given += 1;
            intake.push(Delivery::new(item, ()).with_origin(origin));
        }
        let ended = self.items.is_empty();
        Ok(if ended { Received::End } else { Received::More })
    }
}
