//! A flow that ends in a stream: its messages carry their receipts.

use std::{
    collections::VecDeque,
    fmt,
    num::NonZeroUsize,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_util::Stream;
use towpath_core::{Ends, Inlet, Message, Outlet, StageInfo};
use towpath_link::{Size, link};
use towpath_processor::Operator;

use crate::{
    Flow, Pipeline,
    assembly::buffers,
    port::{LinkInlet, LinkOutlet},
};

/// Messages per chunk of the link to the stream.
const MAX_DEMAND: NonZeroUsize = NonZeroUsize::new(64).expect("64 is not zero");

/// The messages at the end of a pipeline. Each settles when you say so; dropping one
/// gives it back to its source.
#[must_use = "a stream does nothing unless polled"]
pub struct Delivered<T> {
    inlet: LinkInlet<Message<T>>,
    inbox: VecDeque<Message<T>>,
}

impl<O: Operator> Flow<O> {
    /// Ends the flow in a stream. Start the pipeline and read the stream beside it.
    ///
    /// The pipeline ends when its sources have and every message of the stream is settled;
    /// dropping the stream gives back what it has not taken, and ends the pipeline.
    ///
    /// Messages that the reader keeps unsettled come on top of the bound of the pipeline,
    /// unless it has a [`budget`](Pipeline::budget).
    pub fn into_stream(self) -> (Pipeline, Delivered<O::Out>) {
        let up = self.fused();
        let chunks = buffers(up.workers, 1);
        let (sender, receiver) = link(Size {
            buffers: NonZeroUsize::new(chunks).unwrap_or(NonZeroUsize::MIN),
            max_demand: MAX_DEMAND,
        });
        let end = StageInfo::new("stream".into(), "end").holding(chunks * MAX_DEMAND.get());
        let mut plan = up.plan;
        plan.end(&up.last, up.label.as_ref(), end);
        let connect = up.connect;
        let pipeline = Pipeline::ending(plan, up.promises, move |assembly| {
            let outlet: Ends<dyn Outlet<Message<O::Out>>> =
                Arc::new(move || Box::new(LinkOutlet::new(sender.clone())));
            connect(assembly, outlet);
        });
        let delivered = Delivered {
            inlet: LinkInlet::new(receiver, false),
            inbox: VecDeque::new(),
        };
        (pipeline, delivered)
    }
}

/// Nothing in it is pinned.
impl<T> Unpin for Delivered<T> {}

impl<T: Send> Stream for Delivered<T> {
    type Item = Message<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message<T>>> {
        let Self { inlet, inbox } = &mut *self;
        if inbox.is_empty() && !ready!(inlet.poll_fill(usize::MAX, inbox, cx)) {
            return Poll::Ready(None);
        }
        Poll::Ready(inbox.pop_front())
    }
}

impl<T> fmt::Debug for Delivered<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivered").finish_non_exhaustive()
    }
}
