//! What a pipeline promises, one test for each promise.

mod acknowledging;
mod backpressure;
mod batching;
mod controlling;
mod crashing;
mod cumulative;
mod dead_letters;
mod events;
mod processing;
mod sinking;
mod stopping;
