//! In turn at the limiter: a token, or a place in its line.

use std::task::{Context, Poll, ready};

use tokio::time::Instant;

use super::{Admission, Result, Want};
use crate::{
    error::RateLimited,
    policed::core::Core,
    rate::{Denied, Limiter, Taken},
    timer::poll_until,
};

/// Where a call waits for a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Queue {
    #[default]
    Nowhere,
    /// Behind those who were there before.
    InLine,
    /// In line, and nobody gets a token before.
    Until(Instant),
}

/// Whether a token was taken.
pub(super) enum Token {
    Taken,
    Later,
}

/// What the limiter says, and when it did.
type Answer = (Instant, std::result::Result<Taken, Denied>);

impl Queue {
    fn until(self) -> Option<Instant> {
        match self {
            Self::Until(until) => Some(until),
            Self::Nowhere | Self::InLine => None,
        }
    }
}

impl Admission {
    /// Whether it waits in line; who asks the store already has had its turn.
    pub(super) fn has_to_queue(&self) -> bool {
        self.queue != Queue::Nowhere && self.asked.is_none()
    }

    /// Waits for its turn at the limiter, and until there should be a token.
    #[cold]
    pub(super) fn poll_turn(
        &mut self,
        core: &Core,
        want: Want<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        if !want.bucket.line().join(&mut self.turn, cx.waker()) {
            return Poll::Pending;
        }
        // The rate may have changed since.
        let until = match &core.limiter {
            Some(limiter) if limiter.remote().is_none() => {
                match limiter.peek(want.bucket, want.weight, Instant::now()) {
                    Err(Denied::Until(until)) => Some(until),
                    _ => None,
                }
            }
            Some(limiter) if limiter.changes() == self.changes => self.queue.until(),
            _ => None,
        };
        match until {
            Some(until) => poll_until(&mut self.timer, until, cx),
            None => Poll::Ready(()),
        }
    }

    #[inline]
    pub(super) fn poll_token(
        &mut self,
        core: &Core,
        want: Option<Want<'_>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Token>> {
        let (Some(limiter), Some(want)) = (&core.limiter, want) else {
            return Poll::Ready(Ok(Token::Taken));
        };
        let line = want.bucket.line();
        // What the store grants is used at once: who asks already does not queue.
        let may_queue = self.queue == Queue::Nowhere && self.asked.is_none() && !limiter.rejects();
        if may_queue && !line.is_empty() {
            self.queue = Queue::InLine;
            return Poll::Ready(Ok(Token::Later));
        }
        let (now, granted) = if limiter.remote().is_some() {
            match ready!(self.poll_store(limiter, want, cx)) {
                Ok(answer) => answer,
                Err(failed) => return Poll::Ready(Err(core.limited(failed))),
            }
        } else {
            let now = Instant::now();
            (now, limiter.take(want.bucket, want.weight, now))
        };
        let denied = match granted {
            Ok(token) => {
                self.token = Some(token);
                self.seen = Some(now);
                self.queue = Queue::Nowhere;
                line.leave(&mut self.turn);
                return Poll::Ready(Ok(Token::Taken));
            }
            Err(denied) => denied,
        };
        let denied = self.denied(denied, want, limiter.rejects(), now);
        Poll::Ready(denied.map_err(|refused| core.limited(refused)))
    }

    /// Asks the store that is shared with others.
    fn poll_store(
        &mut self,
        limiter: &Limiter,
        want: Want<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Answer>> {
        let asked = self.asked.get_or_insert_with(|| {
            self.changes = limiter.changes();
            limiter.ask(want.bucket, want.weight)
        });
        let granted = ready!(asked.poll_taken(cx));
        self.asked = None;
        Poll::Ready(Ok((Instant::now(), granted?)))
    }

    #[cold]
    fn denied(
        &mut self,
        denied: Denied,
        want: Want<'_>,
        rejects: bool,
        now: Instant,
    ) -> Result<Token> {
        let weight = want.weight;
        match denied {
            Denied::TooHeavy { burst } => Err(RateLimited::TooHeavy { weight, burst }.into()),
            Denied::Until(until) if rejects => {
                let retry_after = until.saturating_duration_since(now);
                Err(RateLimited::NoBudget { retry_after }.into())
            }
            Denied::Until(until) => {
                self.queue = Queue::Until(until);
                Ok(Token::Later)
            }
        }
    }

    /// Takes the token of a request that is known only now, if there is one and nobody waits.
    pub(in crate::policed) fn take_token_now(
        &mut self,
        core: &Core,
        want: Want<'_>,
    ) -> Result<bool> {
        let Some(limiter) = core.limiter.as_ref().filter(|l| l.remote().is_none()) else {
            return Ok(false);
        };
        if !want.bucket.line().is_empty() && !limiter.rejects() {
            return Ok(false);
        }
        let now = Instant::now();
        match limiter.take(want.bucket, want.weight, now) {
            Ok(_spent) => {
                self.seen = Some(now);
                Ok(true)
            }
            Err(denied) => {
                let denied = self.denied(denied, want, limiter.rejects(), now);
                denied
                    .map(|_| false)
                    .map_err(|refused| core.limited(refused))
            }
        }
    }
}
