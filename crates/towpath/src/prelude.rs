//! What most programs need: `use towpath::prelude::*;`

pub use crate::{
    Batch, Batcher, BoxError, Call, DeadLetter, Failure, Flow, Guarantee, Message, Outcome,
    Overflow, Pipeline, Processor, Report, Restarts, Sink, SinkStage, Source, Verdicts, Written,
    each, write,
};
#[cfg(feature = "files")]
pub use crate::{Csv, CsvRow, Line, Lines, NdJson, json_line};
