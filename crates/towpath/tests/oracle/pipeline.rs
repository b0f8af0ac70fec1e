//! The real pipeline of a description.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use tower::Service;
use towpath::{
    Batch, Batcher, BoxError, Call, DeadLetter, Failure, Flow, Outcome, Pipeline, Processor, Sink,
    SinkStage, Verdicts, Written,
    processor::{Carry, Operator, Reply, operator::Pass},
};
use towpath_test::{Outcomes, TestSource, Traces, check};

use crate::description::{
    Description, End, Fault, Faults, Item, Kind, Line, Order, Section, Shape,
};

/// What came of a whole run.
#[derive(Debug)]
pub(crate) struct Real {
    pub(crate) outcomes: BTreeMap<u64, Vec<Outcome>>,
    pub(crate) written: Vec<Line>,
    pub(crate) letters: Option<BTreeMap<u64, usize>>,
}

#[derive(Clone, Default)]
struct Seen {
    written: Arc<Mutex<Vec<Line>>>,
    letters: Arc<Mutex<BTreeMap<u64, usize>>>,
}

/// What each failure and each panic of the description says.
pub(crate) const FAULT: &str = "a fault of the description";
/// A run that takes longer hangs: paused time passes only when nobody can go on.
const LONG: Duration = Duration::from_secs(24 * 3600);

/// Runs the pipeline on one thread and paused time.
pub(crate) fn run(description: &Description) -> Real {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let (pipeline, outcomes, seen) = build(description);
        let traces = Traces::new();
        let pipeline = pipeline.telemetry(traces.clone());
        let report = tokio::time::timeout(LONG, pipeline.run()).await;
        let report = report.expect("the pipeline hangs").unwrap();
        check(&report);
        traces.check(&report);
        real(description, &outcomes, &seen)
    })
}

fn real(description: &Description, outcomes: &Outcomes, seen: &Seen) -> Real {
    Real {
        outcomes: (0..description.items)
            .map(|n| (n, outcomes.of(n)))
            .collect(),
        written: seen.written.lock().unwrap().clone(),
        letters: description
            .letters
            .map(|_| seen.letters.lock().unwrap().clone()),
    }
}

fn build(description: &Description) -> (Pipeline, Outcomes, Seen) {
    let seen = Seen::default();
    let items = (0..description.items).map(|index| Item {
        index,
        value: index,
    });
    let (source, outcomes) = TestSource::new(items)
        .chunk(description.chunk)
        .redelivering(description.attempts)
        .settle_fails(description.settle_fails)
        .keep_original()
        .build();
    let sections = description.sections.iter().enumerate();
    let flow = sections.fold(Flow::from(source), |flow, (n, section)| {
        add(flow, n, section)
    });
    let mut pipeline = end(flow, &description.end, 0, &seen).max_demand(description.max_demand);
    if let Some(budget) = description.budget {
        pipeline = pipeline.budget(budget);
    }
    if let Some(fails) = description.letters {
        let letters = LetterBox {
            fails,
            letters: seen.letters.clone(),
        };
        pipeline = pipeline.dead_letter(SinkStage::of::<DeadLetter>("letters", letters));
    }
    (pipeline, outcomes, seen)
}

fn add(flow: Flow<Pass<Item>>, n: usize, section: &Section) -> Flow<Pass<Item>> {
    match section.shape.clone() {
        Shape::Nothing => process(flow, n, section),
        Shape::Shrink { add, leave_out } => {
            let flow = flow.map(move |item| item.add(add));
            process(
                flow.filter("filter", move |item| !item.is_multiple(leave_out)),
                n,
                section,
            )
        }
        Shape::Grow { parts, add } => {
            let flow = flow.flat_map(move |item| (0..parts).map(move |part| item.part(part)));
            process(flow.map(move |item| item.add(add)), n, section)
        }
        Shape::Early { faults, when } => {
            let flow = flow.try_map(move |item| fail(&faults, item, 0));
            process(
                flow.acknowledge_now(move |item| item.is_multiple(when)),
                n,
                section,
            )
        }
        Shape::Nested {
            parts,
            leave_out,
            faults,
            again,
        } => {
            let flow = flow
                .flat_map(move |item| (0..parts).map(move |part| item.part(part)))
                .filter("filter", move |item| !item.is_multiple(leave_out))
                .try_map(move |item| fail(&faults, item, 0))
                .flat_map(move |item| (0..again).map(move |part| item.part(part)));
            process(flow, n, section)
        }
    }
}

fn process<O>(flow: Flow<O>, n: usize, section: &Section) -> Flow<Pass<Item>>
where
    O: Operator<Out = Item>,
{
    let name = format!("stage-{n}");
    let work = Work::of(section);
    match section.kind {
        Kind::Call => {
            let handler =
                move |call: Call<Item>| work.clone().on(call.payload, call.origin.attempt);
            ordered(flow, Processor::with_context(name, handler), section)
        }
        Kind::Parts(parts) => {
            let handler = move |item| {
                let work = work.clone();
                async move {
                    let item = work.on(item, 0).await?;
                    Ok::<_, BoxError>((0..parts).map(|part| item.part(part)).collect())
                }
            };
            ordered(flow, Processor::flat_map(name, handler), section)
        }
        Kind::Maybe(leave_out) => {
            let handler = move |item| {
                let work = work.clone();
                async move {
                    let item = work.on(item, 0).await?;
                    Ok::<_, BoxError>((!item.is_multiple(leave_out)).then_some(item))
                }
            };
            ordered(flow, Processor::filter_map(name, "maybe", handler), section)
        }
        Kind::Chunk(most) => {
            let faults = work.faults;
            let handler = move |chunk: Vec<Item>| {
                let alone = chunk.len() == 1;
                let judged = |item| judge(&faults, item, 0, alone).map(|()| item);
                let results: Vec<_> = chunk.into_iter().map(judged).collect();
                async move { Ok(results) }
            };
            let processor = Processor::chunk(name, handler).max_messages(most);
            flow.process(processor.concurrency(section.concurrency))
        }
    }
}

/// What the handler of a section does.
#[derive(Clone)]
struct Work {
    faults: Faults,
    delay: u64,
}

impl Work {
    fn of(section: &Section) -> Self {
        let (faults, delay) = (section.faults.clone(), section.delay);
        Self { faults, delay }
    }

    /// Some messages are ready at once, and others take their time.
    async fn on(self, item: Item, attempt: u32) -> Result<Item, BoxError> {
        let wait = (item.value * 7) % (self.delay + 1);
        if wait > 0 {
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
        fail(&self.faults, item, attempt)
    }
}

fn ordered<O, S, C, X, R>(
    flow: Flow<O>,
    processor: Processor<S, C, X>,
    section: &Section,
) -> Flow<Pass<Item>>
where
    O: Operator<Out = Item>,
    C: Carry<Item>,
    S: Service<C::Request, Response = R, Error = BoxError, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
    R: Send + 'static,
    X: Reply<R, Out = Item>,
{
    let at_once = section.concurrency;
    match section.order {
        Order::Unordered => flow.process(processor.unordered(at_once).workers(section.workers)),
        Order::Ordered => flow.process(processor.ordered(at_once)),
        Order::ByKey => flow.process(processor.by_key(at_once, Item::key)),
    }
}

/// Ends a flow in sink number `n`, or in two with the numbers behind it.
fn end(flow: Flow<Pass<Item>>, end: &End, n: usize, seen: &Seen) -> Pipeline {
    match end {
        End::Acknowledge => flow.acknowledge(),
        End::Sink { workers, faults } => flow.sink(sink(n, faults, seen).workers(*workers)),
        End::Batch {
            size,
            wait,
            keyed,
            workers,
            faults,
        } => {
            let sink = sink(n, faults, seen).workers(*workers);
            let wait = Duration::from_millis(*wait);
            let batcher = Batcher::new(format!("batcher-{n}"));
            let batcher = batcher.max_messages(*size).max_wait(wait);
            if *keyed {
                flow.batch(batcher.key(Item::key)).sink(sink)
            } else {
                flow.batch(batcher).sink(sink)
            }
        }
        End::Fork { copies, sides } => fork(flow, *copies, sides, seen),
    }
}

fn fork(flow: Flow<Pass<Item>>, copies: bool, sides: &[End; 2], seen: &Seen) -> Pipeline {
    let [first, second] = sides;
    if copies {
        return flow.tee("tee", |copies| {
            copies
                .required("first", |flow| end(flow, first, 1, seen))
                .required("second", |flow| end(flow, second, 2, seen))
        });
    }
    flow.route("route", Item::side, |branches| {
        branches
            .to(0, |flow| end(flow, first, 1, seen))
            .to(1, |flow| end(flow, second, 2, seen))
    })
}

fn sink(n: usize, faults: &Faults, seen: &Seen) -> SinkStage<Writer> {
    let (faults, written) = (faults.clone(), seen.written.clone());
    let writer = Writer { n, faults, written };
    SinkStage::of::<Item>(format!("sink-{n}"), writer)
}

/// Writes what the faults let pass.
#[derive(Clone)]
struct Writer {
    n: usize,
    faults: Faults,
    written: Arc<Mutex<Vec<Line>>>,
}

impl Sink<Item> for Writer {
    async fn write(&mut self, batch: Batch<Item>) -> Result<Written, BoxError> {
        let mut verdicts = Verdicts::done();
        for (place, item) in batch.items().iter().enumerate() {
            let attempt = batch.origin(place).map_or(0, |origin| origin.attempt);
            match judge(&self.faults, *item, attempt, batch.len() == 1) {
                Ok(()) => self.written.lock().unwrap().push((self.n, *item)),
                Err(error) => verdicts = verdicts.fail(place, error),
            }
        }
        Ok(verdicts.into())
    }
}

/// A panic of a sink is that of its whole batch: only one that is alone panics.
fn judge(faults: &Faults, item: Item, attempt: u32, alone: bool) -> Result<(), BoxError> {
    match faults.of(&item) {
        Fault::Panic if !alone => Err("rejected instead of a panic".into()),
        _ => fail(faults, item, attempt).map(drop),
    }
}

fn fail(faults: &Faults, item: Item, attempt: u32) -> Result<Item, BoxError> {
    let fault = faults.of(&item);
    assert!(fault != Fault::Panic, "{FAULT}");
    if let Some(after) = fault.retry_after(attempt) {
        return Err(Failure::retry(FAULT).after(after).into());
    }
    match fault {
        Fault::Reject => Err(FAULT.into()),
        Fault::Drop => Err(Failure::drop("fault").into()),
        _ => Ok(item),
    }
}

/// Fails some writes first.
struct LetterBox {
    fails: usize,
    letters: Arc<Mutex<BTreeMap<u64, usize>>>,
}

impl Sink<DeadLetter> for LetterBox {
    async fn write(&mut self, batch: Batch<DeadLetter>) -> Result<Written, BoxError> {
        if self.fails > 0 {
            self.fails -= 1;
            return Err("the letter box is away".into());
        }
        for letter in batch.items() {
            let original = letter.original.as_ref().expect("the original is kept");
            let item: &Item = original.downcast_ref().expect("it is what left the source");
            assert_eq!(item.index, item.value, "it is not as it left the source");
            *self.letters.lock().unwrap().entry(item.index).or_default() += 1;
        }
        Ok(Written::All)
    }
}
