//! What a pipeline promises, one test for each promise.

mod acknowledging;
mod backpressure;
mod batching;
mod building;
mod closing;
mod controlling;
mod crashing;
mod cumulative;
mod dead_letters;
mod events;
mod ingress;
mod injecting;
mod layers;
mod lending;
mod metering;
mod ordering;
mod policies;
mod processing;
mod routing;
mod sinking;
mod stopping;
mod streams;
mod tracing;
