//! What a pipeline promises, one test for each promise.

mod batching;
