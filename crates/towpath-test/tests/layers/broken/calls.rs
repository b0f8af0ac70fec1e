//! Layers that call the inner service without asking it, or after asking another.

use std::{
    future::Ready,
    pin::Pin,
    task::{Context, Poll},
};

use tower::{Service, util::Oneshot};
use towpath_test::layer::{Failed, Probe, Reply, Rule, Suite};

use super::finds;

/// Calls a clone, which was never asked.
#[derive(Clone)]
struct CallsAClone(Probe);

impl Service<u64> for CallsAClone {
    type Response = u64;
    type Error = Failed;
    type Future = Reply<u64>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: u64) -> Reply<u64> {
        self.0.clone().call(request)
    }
}

/// Does not wait until the inner service is ready.
#[derive(Clone)]
struct NeverWaits(Probe);

impl Service<u64> for NeverWaits {
    type Response = u64;
    type Error = Failed;
    type Future = Reply<u64>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        drop(self.0.poll_ready(cx));
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u64) -> Reply<u64> {
        self.0.call(request)
    }
}

/// Tries a second time without asking again.
#[derive(Clone)]
struct RetriesUnasked(Probe);

struct Twice {
    service: Probe,
    request: Option<u64>,
    reply: Reply<u64>,
}

impl Service<u64> for RetriesUnasked {
    type Response = u64;
    type Error = Failed;
    type Future = Twice;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: u64) -> Twice {
        let clone = self.0.clone();
        let mut service = std::mem::replace(&mut self.0, clone);
        let reply = service.call(request);
        Twice {
            service,
            request: Some(request),
            reply,
        }
    }
}

impl Future for Twice {
    type Output = Result<u64, Failed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match Pin::new(&mut self.reply).poll(cx) {
            Poll::Ready(Err(failed)) => match self.request.take() {
                None => Poll::Ready(Err(failed)),
                Some(request) => {
                    self.reply = self.service.call(request);
                    self.poll(cx)
                }
            },
            other => other,
        }
    }
}

/// Hands on that it is ready, and then asks nobody; polls the future once more at its end.
#[derive(Clone)]
struct PollsOnce(Probe);

struct Greedy(Reply<u64>);

impl Service<u64> for PollsOnce {
    type Response = u64;
    type Error = Failed;
    type Future = Greedy;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: u64) -> Greedy {
        Greedy(self.0.call(request))
    }
}

impl Future for Greedy {
    type Output = Result<u64, Failed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = Pin::new(&mut self.0).poll(cx);
        if polled.is_ready() {
            drop(Pin::new(&mut self.0).poll(cx));
        }
        polled
    }
}

/// Keeps to the contract: asks the clone that it calls. Says that it is ready at once.
#[derive(Clone)]
struct AsksLater(Probe);

impl Service<u64> for AsksLater {
    type Response = u64;
    type Error = Failed;
    type Future = Oneshot<Probe, u64>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u64) -> Self::Future {
        Oneshot::new(self.0.clone(), request)
    }
}

/// Calls nobody.
#[derive(Clone)]
struct Answers;

impl Service<u64> for Answers {
    type Response = u64;
    type Error = Failed;
    type Future = Ready<Result<u64, Failed>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u64) -> Self::Future {
        std::future::ready(Ok(request))
    }
}

#[test]
fn a_call_of_a_clone_that_was_never_asked() {
    finds(&Suite::new(CallsAClone), Rule::Contract, "never asked");
}

#[test]
fn a_call_although_the_inner_service_is_not_ready() {
    finds(&Suite::new(NeverWaits), Rule::Contract, "said `Pending`");
}

#[test]
fn a_retry_without_another_poll_ready() {
    let suite = Suite::new(RetriesUnasked).attempts(2);
    finds(&suite, Rule::Contract, "good for one call");
}

#[test]
fn a_future_that_is_polled_after_its_end() {
    finds(&Suite::new(PollsOnce), Rule::Contract, "after its end");
}

#[test]
fn a_retry_that_was_announced_and_is_not_made() {
    finds(&Suite::new(AsksLater).attempts(2), Rule::Contract, "fails");
}

#[test]
fn a_layer_that_does_not_call_the_inner_service() {
    finds(&Suite::new(|_| Answers), Rule::Contract, "0 times");
}

#[test]
fn a_layer_that_asks_in_its_future_is_not_broken() {
    Suite::new(AsksLater).check();
}
