//! What the map does whenever it is polled: begin calls, drive all of them, look at the clock.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::{Stream, StreamExt};
use tokio::time::Instant;
use tower_service::Service;

use super::{ConcurrentMap, Item};
use towpath_options::LONGEST;

use crate::{
    BoxError,
    context::{self, CallContext},
    error::DeadlinePassed,
    timer::poll_until,
};

impl<St, S> ConcurrentMap<St, S>
where
    St: Stream,
    S: Service<St::Item> + Clone,
    S::Error: Into<BoxError>,
{
    /// Begins what may begin and polls what runs.
    pub(super) fn work(mut self: Pin<&mut Self>, cx: &mut Context<'_>) {
        if self.as_mut().is_over() {
            self.expire();
            return;
        }
        while self.as_mut().begin(cx) {}
        self.as_mut().drive(cx);
        self.watch(cx);
    }

    /// Whether the deadline for all has passed; it begins to count with the first question.
    fn is_over(self: Pin<&mut Self>) -> bool {
        let this = self.project();
        let Some(deadline) = this.rules.deadline else {
            return false;
        };
        let now = Instant::now();
        let ends = this.ends.get_or_insert_with(|| now + deadline.min(LONGEST));
        now >= *ends
    }

    /// Begins the next call, if there is a place, the service is ready and an item there.
    fn begin(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> bool {
        if self.places.len() >= self.rules.limit {
            return false;
        }
        match self.as_mut().poll_service(cx) {
            Poll::Ready(Ok(())) => self.pull(cx),
            Poll::Ready(Err(error)) => {
                self.as_mut().close();
                self.push(Err(error));
                false
            }
            Poll::Pending => false,
        }
    }

    fn poll_service(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self.project().service {
            Some(service) => service.poll_ready(cx).map_err(Into::into),
            None => Poll::Pending,
        }
    }

    fn pull(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> bool {
        let Some(source) = self.as_mut().project().source.as_pin_mut() else {
            return false;
        };
        match source.poll_next(cx) {
            Poll::Ready(Some(item)) => self.call(item),
            Poll::Ready(None) => self.close(),
            Poll::Pending => {
                self.give_back();
                return false;
            }
        }
        true
    }

    fn call(self: Pin<&mut Self>, item: St::Item) {
        let this = self.project();
        let Some(service) = this.service else { return };
        let mut context = CallContext::default()
            .until(context::deadline())
            .until(*this.ends);
        let call = context::scope(&mut context, || service.call(item));
        let place = this.places.reserve();
        let item = Item::new(call, context, this.rules.timeout, place);
        this.running.push(item);
    }

    /// The source is quiet: what the service has reserved is free for the calls that run.
    fn give_back(self: Pin<&mut Self>) {
        let this = self.project();
        let unreadied = this.service.clone();
        *this.service = unreadied;
    }

    fn close(self: Pin<&mut Self>) {
        let mut this = self.project();
        this.source.set(None);
        *this.service = None;
    }

    fn push(self: Pin<&mut Self>, result: Result<S::Response, BoxError>) {
        let places = self.project().places;
        let place = places.reserve();
        places.fill(place, result);
    }

    /// Polls every call that was woken; a result goes to its place.
    fn drive(self: Pin<&mut Self>, cx: &mut Context<'_>) {
        let this = self.project();
        while let Poll::Ready(Some((place, result))) = this.running.poll_next_unpin(cx) {
            this.places.fill(place, result);
        }
    }

    /// Has the deadline wake the stream.
    fn watch(mut self: Pin<&mut Self>, cx: &mut Context<'_>) {
        let this = self.as_ref();
        let waits = !this.running.is_empty() || this.source.is_some();
        let Some(ends) = self.ends.filter(|_| waits) else {
            return;
        };
        if poll_until(self.as_mut().project().timer, ends, cx).is_ready() {
            self.expire();
        }
    }

    /// The deadline has passed: what runs is dropped, and nothing more begins.
    fn expire(mut self: Pin<&mut Self>) {
        let cut = self.source.is_some() && self.running.is_empty();
        self.as_mut().close();
        let this = self.as_mut().project();
        this.running.clear();
        let passed = || Err(DeadlinePassed { source: None }.into());
        this.places.fill_all(passed);
        if cut {
            self.push(passed());
        }
    }
}
