//! What most programs need: `use towpath::prelude::*;`

pub use crate::{
    Batch, Batcher, BoxError, Call, CircuitBreaker, Class, Classify, Concurrency, DeadLetter,
    Deadline, Dedup, Failure, Fallback, Flow, ForcedBreaker, Guarantee, Hedge, Jitter,
    MapConcurrent, Message, Outcome, Overflow, Pipeline, Policies, PolicyStatus, Processor, Rate,
    RateLimit, Report, Restarts, Retry, RetryAfter, Sink, SinkStage, Source, Timeout, Verdicts,
    Written, each, write,
};
#[cfg(feature = "files")]
pub use crate::{Csv, CsvRow, Line, Lines, NdJson, json_line};
