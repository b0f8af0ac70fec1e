//! The builder calls that give a stage its policies.

use std::num::NonZeroUsize;

use towpath_policy::{
    Again, CircuitBreaker, Classify, Concurrency, Deadline, Policies, RateLimit, Retry, Timeout,
};

use super::{Part, Stack, StackOf, ToStack};
use crate::{ChunkProcessor, Processor, processor::short_type_name};

/// Writes the builder calls for a stage whose last type parameter is its policies.
macro_rules! builder_calls {
    ($(#[$about:meta])* $stage:ident<$($kept:ident),+>) => {
        /// # Policies
        ///
        /// Their order around the service does not depend on the order of the calls. Outermost
        /// first: [layers outside](Self::layer_outside) > deadline > dedup > fallback > hedge >
        /// retry (with budget) > circuit breaker > rate limit > concurrency > timeout of the
        /// attempt > [layers](Self::layer) > service. So each attempt pays the limiter, and a
        /// call that backs off holds no slot that others could use. All workers of the stage
        /// share them. A panic of the service is caught by its slot.
        $(#[$about])*
        impl<$($kept,)+ P: ToStack> $stage<$($kept,)+ P> {
            /// Limits how many calls begin in a while.
            ///
            /// Without a key or a weight the stage takes no message while there is no budget.
            /// With one it does, and the call waits by itself while others pass.
            #[must_use]
            pub fn rate_limit<L>(
                self,
                limit: RateLimit<L>,
            ) -> $stage<
                $($kept,)+
                Stack<L, P::Replay, P::Dedup, P::Fallback, P::Hedge, P::Outside>,
            > {
                self.repolice(|stack| stack.with_core(|core| core.rate_limit(limit)))
            }

            /// Tries calls again that fail. Payloads must be `Clone`.
            ///
            /// A call between two attempts does not run and holds no lane but its own; up to
            /// [`max_parked`](Self::max_parked) messages may wait so. A
            /// [`Failure`](towpath_core::Failure) is a decision: it is not tried again here.
            #[must_use]
            pub fn retry(
                self,
                retry: Retry,
            ) -> $stage<
                $($kept,)+
                Stack<P::Charge, Again, P::Dedup, P::Fallback, P::Hedge, P::Outside>,
            > {
                self.repolice(|stack| stack.with_core(|core| core.retry(retry)))
            }

            /// Stops calling a service that fails, until it works again.
            ///
            /// While it is open the stage takes no messages, so that the source is not asked
            /// either. Messages that failed when it opened wait with it where there is a
            /// [`retry`](Self::retry), and lose no attempt by that, unless they fail again
            /// although a probe has succeeded since; without one they go back to their source.
            /// Real messages are the probes.
            ///
            /// What fails before it opens counts: let it open before the attempts of a message
            /// are spent, such as with [`over_calls`](CircuitBreaker::over_calls).
            #[must_use]
            pub fn circuit_breaker(self, breaker: CircuitBreaker) -> $stage<$($kept,)+ StackOf<P>> {
                self.repolice(|stack| stack.with_core(|core| core.circuit_breaker(breaker)))
            }

            /// Ends attempts that take too long; they fail.
            #[must_use]
            pub fn timeout(self, limit: impl Into<Timeout>) -> $stage<$($kept,)+ StackOf<P>> {
                let limit = limit.into();
                self.repolice(|stack| stack.with_core(|core| core.timeout(limit)))
            }

            /// Makes as many calls at once as the service bears, instead of a fixed number.
            #[must_use]
            pub fn adaptive_concurrency(
                self,
                concurrency: Concurrency,
            ) -> $stage<$($kept,)+ StackOf<P>> {
                self.repolice(|stack| stack.with_core(|core| core.concurrency(concurrency)))
            }

            /// Which errors are worth another attempt, and which say that the service is down
            /// or busy.
            #[must_use]
            pub fn classify(self, classify: impl Classify) -> $stage<$($kept,)+ StackOf<P>> {
                self.repolice(|stack| stack.with_core(|core| core.classify(classify)))
            }

            /// All the policies that are read from options, in place of those set so far.
            ///
            /// Payloads must be `Clone`.
            #[must_use]
            pub fn policies<L: 'static>(
                self,
                policies: Policies<L, Again>,
            ) -> $stage<
                $($kept,)+
                Stack<L, Again, P::Dedup, P::Fallback, P::Hedge, P::Outside>,
            > {
                self.repolice(|stack| stack.with_core(|_| policies))
            }

            /// Gives each call so long in this stage, all attempts and waits included.
            ///
            /// An earlier end, of the pipeline's deadline, stays. A handler reads what holds
            /// with [`deadline`](towpath_policy::context::deadline), however deep it is.
            #[must_use]
            pub fn deadline(self, limit: impl Into<Deadline>) -> $stage<$($kept,)+ StackOf<P>> {
                let limit = limit.into();
                self.repolice(|stack| stack.with_deadline(limit))
            }

            /// Makes calls of the same key once; later ones are dropped as `duplicate`.
            ///
            /// One that comes while the first runs waits for it, and takes its place if that
            /// fails. When a store for the keys cannot be asked, messages go back to their
            /// source.
            #[must_use]
            pub fn dedup<Du: Part>(
                self,
                dedup: Du,
            ) -> $stage<
                $($kept,)+
                Stack<P::Charge, P::Replay, Du, P::Fallback, P::Hedge, P::Outside>,
            > {
                self.repolice(|stack| stack.with_dedup(dedup))
            }

            /// Another answer for calls whose attempts have failed. What it does not answer is
            /// rejected, and gets its dead letter, as ever. A
            /// [`Failure`](towpath_core::Failure) is a decision, and stays.
            #[must_use]
            pub fn fallback<Fa: Part>(
                self,
                fallback: Fa,
            ) -> $stage<
                $($kept,)+
                Stack<P::Charge, P::Replay, P::Dedup, Fa, P::Hedge, P::Outside>,
            > {
                self.repolice(|stack| stack.with_fallback(fallback))
            }

            /// A second call beside a slow one. **Only for services that are idempotent.**
            /// Payloads must be `Clone`.
            #[must_use]
            pub fn hedge<He: Part>(
                self,
                hedge: He,
            ) -> $stage<
                $($kept,)+
                Stack<P::Charge, P::Replay, P::Dedup, P::Fallback, He, P::Outside>,
            > {
                self.repolice(|stack| stack.with_hedge(hedge))
            }

            /// How many messages may wait in the stage without running: between two attempts,
            /// for a key of the limiter, for the breaker. 256 unless said otherwise; when as
            /// many wait, demand stops.
            #[must_use]
            pub fn max_parked(self, messages: NonZeroUsize) -> $stage<$($kept,)+ StackOf<P>> {
                self.repolice(|stack| stack.with_max_parked(messages))
            }

            /// Puts a tower layer around the service and all its policies, outside those added
            /// so before.
            ///
            /// It sees each call once, whatever attempts are made inside; a
            /// [`layer`](Self::layer) sees each attempt. It makes one service, of which all
            /// workers have clones. Its requests and answers are those of the service.
            #[must_use]
            pub fn layer_outside<N>(
                self,
                layer: N,
            ) -> $stage<
                $($kept,)+
                Stack<
                    P::Charge,
                    P::Replay,
                    P::Dedup,
                    P::Fallback,
                    P::Hedge,
                    tower_layer::Stack<P::Outside, N>,
                >,
            > {
                let name = short_type_name::<N>();
                self.repolice(|stack| stack.with_outside(name, layer))
            }

            fn repolice<N>(self, change: impl FnOnce(StackOf<P>) -> N) -> $stage<$($kept,)+ N> {
                self.with_policies(|policies| change(policies.to_stack()))
            }
        }
    };
}

builder_calls! {
    Processor<S, C, X, D>
}

builder_calls! {
    ///
    /// A call is for a chunk here: the chunk is what is limited, tried again and given up, and
    /// a request is a `Vec` of payloads. A rate limit may weigh it:
    /// `RateLimit::per_second(500).weight(|chunk: &Vec<T>| chunk.len() as u32)`. Errors in the
    /// answer, of single messages, are not errors of the call: policies do not see them.
    ///
    /// A chunk counts as the attempt of its message that was tried least, and its time is over
    /// when that of one of its messages is; those that have time left go back to their source.
    ChunkProcessor<S>
}
