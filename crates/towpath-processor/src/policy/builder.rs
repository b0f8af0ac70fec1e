//! The builder calls that give a processor its policies.

use std::{num::NonZeroUsize, sync::OnceLock};

use towpath_policy::{
    Again, CircuitBreaker, Classify, Concurrency, Deadline, Policies, RateLimit, Retry, Timeout,
};

use super::{
    Part, Stack,
    stack::{StackOf, ToStack},
};
use crate::Processor;

/// # Policies
///
/// Their order around the service does not depend on the order of the calls. Outermost first:
/// deadline > dedup > fallback > hedge > retry (with budget) > circuit breaker > rate limit >
/// concurrency > timeout of the attempt > [layers](Self::layer) > service. So each attempt
/// pays the limiter, and a message that backs off holds no slot that others could use. All
/// workers of the stage share them. A panic of the service is caught by its slot.
impl<S, C, X, D, P: ToStack> Processor<S, C, X, D, P> {
    /// Limits how many calls begin in a while.
    ///
    /// Without a key or a weight the stage takes no message while there is no budget. With one
    /// it does, and the message waits by itself while others pass.
    #[must_use]
    pub fn rate_limit<L>(
        self,
        limit: RateLimit<L>,
    ) -> Processor<S, C, X, D, Stack<L, P::Replay, P::Dedup, P::Fallback, P::Hedge>> {
        self.repolice(|stack| change(stack, |policies| policies.rate_limit(limit)))
    }

    /// Tries calls again that fail. Payloads must be `Clone`.
    ///
    /// A message between two attempts runs no call and holds no lane but its own; up to
    /// [`max_parked`](Self::max_parked) may wait so. A [`Failure`](towpath_core::Failure) is a
    /// decision: it is not tried again here.
    #[must_use]
    pub fn retry(
        self,
        retry: Retry,
    ) -> Processor<S, C, X, D, Stack<P::Charge, Again, P::Dedup, P::Fallback, P::Hedge>> {
        self.repolice(|stack| change(stack, |policies| policies.retry(retry)))
    }

    /// Stops calling a service that fails, until it works again.
    ///
    /// While it is open the stage takes no messages, so that the source is not asked either.
    /// Messages that failed when it opened wait with it where there is a
    /// [`retry`](Self::retry), and lose no attempt by that; without one they go back to their
    /// source. Real messages are the probes.
    #[must_use]
    pub fn circuit_breaker(self, breaker: CircuitBreaker) -> Processor<S, C, X, D, StackOf<P>> {
        self.repolice(|stack| change(stack, |policies| policies.circuit_breaker(breaker)))
    }

    /// Ends attempts that take too long; they fail.
    #[must_use]
    pub fn timeout(self, limit: impl Into<Timeout>) -> Processor<S, C, X, D, StackOf<P>> {
        let limit = limit.into();
        self.repolice(|stack| change(stack, |policies| policies.timeout(limit)))
    }

    /// Works on as many messages at once as the service bears, instead of on a fixed number.
    #[must_use]
    pub fn adaptive_concurrency(
        self,
        concurrency: Concurrency,
    ) -> Processor<S, C, X, D, StackOf<P>> {
        self.repolice(|stack| change(stack, |policies| policies.concurrency(concurrency)))
    }

    /// Which errors are worth another attempt, and which say that the service is down or busy.
    #[must_use]
    pub fn classify(self, classify: impl Classify) -> Processor<S, C, X, D, StackOf<P>> {
        self.repolice(|stack| change(stack, |policies| policies.classify(classify)))
    }

    /// All the policies that are read from options, in place of those set so far.
    ///
    /// Payloads must be `Clone`.
    #[must_use]
    pub fn policies<L: 'static>(
        self,
        policies: Policies<L, Again>,
    ) -> Processor<S, C, X, D, Stack<L, Again, P::Dedup, P::Fallback, P::Hedge>> {
        self.repolice(|stack| change(stack, |_| policies))
    }

    /// Gives each message so long in this stage, all attempts and waits included.
    ///
    /// An earlier end, of the pipeline's deadline, stays. A handler reads what holds with
    /// [`deadline`](towpath_policy::context::deadline), however deep it is.
    #[must_use]
    pub fn deadline(self, limit: impl Into<Deadline>) -> Processor<S, C, X, D, StackOf<P>> {
        let limit = limit.into();
        self.repolice(|mut stack| {
            stack.deadline = Some(limit);
            stack
        })
    }

    /// Works on messages of the same key once; later ones are dropped as `duplicate`.
    #[must_use]
    pub fn dedup<Du: Part>(
        self,
        dedup: Du,
    ) -> Processor<S, C, X, D, Stack<P::Charge, P::Replay, Du, P::Fallback, P::Hedge>> {
        self.repolice(|stack| Stack {
            deadline: stack.deadline,
            dedup,
            fallback: stack.fallback,
            hedge: stack.hedge,
            policies: stack.policies,
            max_parked: stack.max_parked,
            built: OnceLock::new(),
        })
    }

    /// Another answer for messages whose attempts have failed. What it does not answer is
    /// rejected, and gets its dead letter, as ever. A [`Failure`](towpath_core::Failure) is a
    /// decision, and stays.
    #[must_use]
    pub fn fallback<Fa: Part>(
        self,
        fallback: Fa,
    ) -> Processor<S, C, X, D, Stack<P::Charge, P::Replay, P::Dedup, Fa, P::Hedge>> {
        self.repolice(|stack| Stack {
            deadline: stack.deadline,
            dedup: stack.dedup,
            fallback,
            hedge: stack.hedge,
            policies: stack.policies,
            max_parked: stack.max_parked,
            built: OnceLock::new(),
        })
    }

    /// A second call beside a slow one. **Only for services that are idempotent.** Payloads
    /// must be `Clone`.
    #[must_use]
    pub fn hedge<He: Part>(
        self,
        hedge: He,
    ) -> Processor<S, C, X, D, Stack<P::Charge, P::Replay, P::Dedup, P::Fallback, He>> {
        self.repolice(|stack| Stack {
            deadline: stack.deadline,
            dedup: stack.dedup,
            fallback: stack.fallback,
            hedge,
            policies: stack.policies,
            max_parked: stack.max_parked,
            built: OnceLock::new(),
        })
    }

    /// How many messages may wait in the stage without running: between two attempts, for a key
    /// of the limiter, for the breaker. 256 unless said otherwise; when as many wait, demand
    /// stops.
    #[must_use]
    pub fn max_parked(self, messages: NonZeroUsize) -> Processor<S, C, X, D, StackOf<P>> {
        self.repolice(|mut stack| {
            stack.max_parked = messages;
            stack
        })
    }

    fn repolice<N>(self, change: impl FnOnce(StackOf<P>) -> N) -> Processor<S, C, X, D, N> {
        self.with_policies(|policies| change(policies.to_stack()))
    }
}

/// The same stack with other policies at its core.
fn change<L, R, M, Q, Du: Part, Fa: Part, He: Part>(
    stack: Stack<L, R, Du, Fa, He>,
    change: impl FnOnce(Policies<L, R>) -> Policies<M, Q>,
) -> Stack<M, Q, Du, Fa, He> {
    Stack {
        deadline: stack.deadline,
        dedup: stack.dedup,
        fallback: stack.fallback,
        hedge: stack.hedge,
        policies: change(stack.policies),
        max_parked: stack.max_parked,
        built: OnceLock::new(),
    }
}
