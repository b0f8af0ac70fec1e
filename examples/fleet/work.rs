//! One member at work.

use std::io::Write;

use towpath::core::Producer;
use towpath::prelude::*;
use towpath::processor::Operator;
use towpath::{Event, EventKind};

use crate::cli::{SourceKind, Work};
use crate::task::Task;
use crate::{book, complain, kafka, nats};

/// How many tasks a member works at once.
const AT_ONCE: usize = 8;

/// Works until Ctrl-C; what it has in hand then is finished.
pub(crate) async fn run(options: &Work) -> Result<u8, BoxError> {
    let pipeline = match options.place.source {
        SourceKind::Nats => pipeline(options, nats::source(options)?)?,
        SourceKind::Kafka => pipeline(options, kafka::source(options)?)?,
    };
    let report = pipeline.run_until_interrupted().await?;
    complain(format_args!("{report}"));
    Ok(report.exit_code())
}

fn pipeline<P>(options: &Work, source: P) -> Result<Pipeline, BoxError>
where
    P: Producer,
    P::Payload: AsRef<[u8]> + serde::Serialize + Sync,
{
    let takes = options.takes;
    let work = Processor::new("work", move |task: Task| async move {
        tokio::time::sleep(takes).await;
        Ok::<_, BoxError>(task)
    });
    let tasks = Flow::from(Source::new("tasks", source)).decode(Task::from_json);
    if options.ordered {
        let customer = |task: &Task| task.customer.clone();
        write_down(options, tasks.process(work.by_key(AT_ONCE, customer)))
    } else {
        write_down(options, tasks.process(work.unordered(AT_ONCE)))
    }
}

/// A task is acknowledged when it is in the book.
fn write_down<O>(options: &Work, worked: Flow<O>) -> Result<Pipeline, BoxError>
where
    O: Operator<Out = Task>,
{
    let member = options.member.clone();
    let pipeline = worked
        .inspect(move |task| print(&member, task))
        .sink(SinkStage::of::<Task>("book", book::sink(options)?))
        .named(format!("fleet-{}", options.member))
        .max_demand(in_hand(options))
        .observer(tell);
    Ok(pipeline)
}

/// Little in hand leaves much for the others. Where there is an order it is the lanes and
/// partitions that are shared: a member asks for all of them.
fn in_hand(options: &Work) -> usize {
    if options.ordered { 64 } else { AT_ONCE }
}

fn print(member: &str, task: &Task) {
    let Task { customer, number } = task;
    // Where nobody looks, the book still has it.
    writeln!(std::io::stdout(), "{member}  {customer}  {number}").unwrap_or_default();
}

fn tell(event: &Event) {
    if let EventKind::SourceFailed { error, .. } = &event.kind {
        complain(format_args!("{}: {error}", event.stage));
    }
}
