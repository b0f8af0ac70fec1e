//! The traces of one write: a span for the batch and the call, one for each traced member.

use std::{error::Error, fmt, future::poll_fn, pin::pin, sync::Arc};

use super::{End, Journey, Span, Step, enter};
use crate::{Batch, BatchInfo, Origin, Peer, Receipt, StageName, Trigger};

/// The spans of a write in which traced messages are.
///
/// The batch and the call of the sink are in the trace of the first of them, and point to
/// all. Each has a span in its own trace, which points there.
pub struct TracedWrite {
    /// `None` for what was not collected by a batcher.
    batch: Option<Arc<dyn Span>>,
    send: Arc<dyn Span>,
    members: Vec<Member>,
    first: Arc<Journey>,
}

struct Member {
    index: usize,
    journey: Arc<Journey>,
    origin: Origin,
}

impl TracedWrite {
    /// Begins the spans; `None` where no message is traced.
    pub fn begin<'a>(
        receipts: impl Iterator<Item = &'a Receipt>,
        info: &BatchInfo,
        sink: &StageName,
        peer: &Peer,
    ) -> Option<Self> {
        let members: Vec<_> = members(receipts).collect();
        let first = members.first()?.journey.clone();
        let now = first.now();
        let batch = (info.trigger != Trigger::Chunk).then(|| {
            // It may have waited for the sink since it was closed.
            let opened_at = info.opened_at.unwrap_or(now.saturating_sub(info.age));
            first.root().start(&Step::Batch { info }, opened_at)
        });
        let send = Step::Send {
            sink,
            peer,
            count: info.size,
        };
        let send = batch.as_ref().unwrap_or(first.root()).start(&send, now);
        let shared = batch.as_ref().unwrap_or(&send);
        for member in &members {
            let create = Step::Create {
                sink,
                peer,
                origin: &member.origin,
            };
            shared.link(&**member.journey.root());
            member.journey.enter(sink, &create).link(&**shared);
        }
        Some(Self {
            batch,
            send,
            members,
            first,
        })
    }

    /// The batch with what to send along with each traced message.
    #[must_use]
    pub fn carried_by<T>(&self, batch: Batch<T>) -> Batch<T> {
        let span = |member: &Member| (member.index, member.journey.span());
        batch.with_traces(self.members.iter().map(span).collect())
    }

    /// The sink has answered: what was written ends well, unless its own answer says otherwise.
    pub fn end(self, error: Option<&(dyn Error + 'static)>) {
        let end = error.map_or(End::Done, End::failed);
        let now = self.first.now();
        self.send.end(&end, now);
        if let Some(batch) = &self.batch {
            batch.end(&end, now);
        }
        if error.is_some() {
            for member in &self.members {
                member.journey.leave(&end);
            }
        }
    }
}

/// Runs the call of a sink in its span, where there is one.
///
/// # Cancel safety
/// As `call`.
pub async fn within<F: Future>(traced: Option<&TracedWrite>, call: F) -> F::Output {
    let mut call = pin!(call);
    poll_fn(|cx| {
        let _entered = traced.map(|traced| enter(&traced.send));
        call.as_mut().poll(cx)
    })
    .await
}

fn members<'a>(receipts: impl Iterator<Item = &'a Receipt>) -> impl Iterator<Item = Member> {
    receipts.enumerate().filter_map(|(index, receipt)| {
        let journey = receipt.journey()?;
        let origin = receipt.origin();
        Some(Member {
            index,
            journey,
            origin,
        })
    })
}

/// A message was written: it waits for its receipt to be settled.
pub fn written(receipt: &Receipt) {
    if let Some(journey) = receipt.journey() {
        journey.leave(&End::Done);
    }
}

impl fmt::Debug for TracedWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracedWrite")
            .field("members", &self.members.len())
            .finish_non_exhaustive()
    }
}
