//! Past the breaker: a pass, or a place in the line before it.

use std::task::{Context, Poll, ready};

use tokio::time::Instant;

use super::{Admission, Result};
use crate::{
    breaker::Entry,
    error::{BreakerOpen, Interrupted},
    policed::core::Core,
    timer::poll_until,
};

impl Admission {
    #[inline]
    pub(super) fn poll_gate(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Some(breaker) = &core.breaker else {
            return Poll::Ready(Ok(()));
        };
        if !self.has_pass(core) {
            self.pass = breaker.enter_closed();
        }
        if self.pass.is_some() {
            breaker.line().leave(&mut self.gate);
            return Poll::Ready(Ok(()));
        }
        self.poll_shut_gate(core, cx)
    }

    /// First come, first served: a probe that failed is behind all that wait already.
    #[cold]
    fn poll_shut_gate(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Some(breaker) = &core.breaker else {
            return Poll::Ready(Ok(()));
        };
        let first = breaker.rejects() || breaker.line().join(&mut self.gate, cx.waker());
        // Looked at after joining: what changed before wakes nobody.
        if core.drain.has_begun() {
            return Poll::Ready(Err(Interrupted { source: None }.into()));
        }
        loop {
            self.pass = breaker.enter_closed();
            let now = Instant::now();
            let until = match self.pass {
                None if first => match breaker.enter(now) {
                    Entry::Pass(pass) => {
                        self.pass = Some(pass);
                        None
                    }
                    Entry::Wait { until } => Some(until),
                },
                None => return Poll::Pending,
                Some(_) => None,
            };
            let Some(until) = until else {
                breaker.line().leave(&mut self.gate);
                return Poll::Ready(Ok(()));
            };
            if breaker.rejects() {
                core.tally.add_rejected();
                let retry_after = breaker.retry_after(until, now);
                return Poll::Ready(Err(BreakerOpen { retry_after }.into()));
            }
            ready!(poll_until(&mut self.timer, until, cx));
        }
    }

    /// Whether the pass still counts; one from before a change of the breaker does not.
    #[inline]
    pub(super) fn has_pass(&mut self, core: &Core) -> bool {
        match (&core.breaker, self.pass) {
            (None, _) => true,
            (Some(breaker), Some(pass)) if breaker.is_current(pass) => true,
            _ => {
                self.pass = None;
                false
            }
        }
    }
}
