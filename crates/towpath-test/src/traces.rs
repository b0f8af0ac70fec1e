//! Records the traces of a pipeline, without any exporter.

use std::{
    fmt::Write as _,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use towpath::Report;
use towpath::core::{
    Attached, Headers, Inspect, StageName, Telemetry,
    trace::{Arrival, Begun, End, Scope, Span, SpanId, Step, Tracer},
};

/// Traces every message, and keeps the spans.
///
/// ```
/// use towpath::prelude::*;
/// use towpath_test::{Recorder, Traces, paused};
///
/// let (traces, recorder) = (Traces::new(), Recorder::new());
/// paused(async {
///     let pipeline = Flow::from(Source::iter("numbers", 0..2))
///         .process(Processor::new("double", |n: i32| async move { Ok::<_, BoxError>(n * 2) }))
///         .sink(recorder.sink("kept"));
///     pipeline.telemetry(traces.clone()).run().await
/// })
/// .unwrap();
/// assert_eq!(traces.named("process double").len(), 2);
/// assert!(traces.open().is_empty(), "every span has ended");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Traces(Arc<Recorded>);

#[derive(Debug, Default)]
struct Recorded {
    spans: Mutex<Vec<SpanLine>>,
    next: AtomicU64,
    entered: AtomicU64,
    left: AtomicU64,
}

/// One span as it was recorded.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SpanLine {
    /// The trace.
    pub trace: u128,
    /// The span.
    pub id: u64,
    /// The span it is a child of.
    pub parent: Option<u64>,
    /// What it is about: `poll numbers`, `queue double`, `attempt double 2`, `settle done`..
    pub name: String,
    /// When it began, since the pipeline did.
    pub start: Duration,
    /// When it ended.
    pub end: Option<Duration>,
    /// How it ended: `done`, `abandoned`, or the kind of the error.
    pub how: String,
    /// The spans that it points to.
    pub links: Vec<u64>,
}

#[derive(Debug)]
struct Live {
    recorded: Arc<Recorded>,
    place: usize,
    id: SpanId,
}

struct Left(Arc<Recorded>);

// === impl Traces ===

impl Traces {
    /// Nothing recorded yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// All spans, in the order in which they began.
    pub fn spans(&self) -> Vec<SpanLine> {
        self.0.lock().clone()
    }

    /// The spans of that name.
    pub fn named(&self, name: &str) -> Vec<SpanLine> {
        self.filtered(|span| span.name == name)
    }

    /// The spans that have not ended.
    pub fn open(&self) -> Vec<SpanLine> {
        self.filtered(|span| span.end.is_none())
    }

    /// How many spans are current on a thread now: none when nothing runs.
    pub fn entered(&self) -> u64 {
        self.0.entered.load(Relaxed) - self.0.left.load(Relaxed)
    }

    /// The traces, one after the other: a line for each span, indented below its parent, in
    /// the order in which they began.
    pub fn tree(&self) -> String {
        let spans = self.spans();
        let mut text = String::new();
        let has_parent = |span: &SpanLine| spans.iter().any(|s| Some(s.id) == span.parent);
        for root in spans.iter().filter(|span| !has_parent(span)) {
            write_tree(&mut text, &spans, root, 0);
        }
        text
    }

    /// Ends any traced run: each delivery has one trace from its receipt to its settlement, no
    /// span is open, and none is current.
    ///
    /// # Panics
    /// Panics with the traces where something is missing.
    #[track_caller]
    pub fn check(&self, report: &Report) {
        let count = |start: &str| self.filtered(|span| span.name.starts_with(start)).len() as u64;
        let emitted = report.counts.emitted;
        assert_eq!(count("poll "), emitted, "receipts\n{}", self.tree());
        assert_eq!(count("settle "), emitted, "settlements\n{}", self.tree());
        assert_eq!(self.open(), [], "open\n{}", self.tree());
        assert_eq!(self.entered(), 0, "every span that was entered was left");
    }

    fn filtered(&self, keep: impl Fn(&SpanLine) -> bool) -> Vec<SpanLine> {
        let spans = self.0.lock();
        spans.iter().filter(|span| keep(span)).cloned().collect()
    }
}

fn write_tree(text: &mut String, spans: &[SpanLine], span: &SpanLine, depth: usize) {
    let end = match span.how.as_str() {
        "done" => String::new(),
        how => format!(" ({how})"),
    };
    writeln!(text, "{:indent$}{}{end}", "", span.name, indent = depth * 2).unwrap_or_default();
    let children = spans.iter().filter(|child| child.parent == Some(span.id));
    children.for_each(|child| write_tree(text, spans, child, depth + 1));
}

// === impl SpanLine ===

impl SpanLine {
    /// How long it took; nothing while it has not ended.
    pub fn took(&self) -> Duration {
        self.end.unwrap_or_default().saturating_sub(self.start)
    }
}

impl Telemetry for Traces {
    fn attach(&self, _pipeline: &StageName) -> Attached {
        Attached::default().tracer(Some(Arc::new(self.clone())))
    }

    fn watch(&self, _pipeline: Arc<dyn Inspect>) {}
}

impl Tracer for Traces {
    fn begin(&self, arrival: &Arrival<'_>) -> Vec<Begun> {
        let begin = |index: u32| {
            let origin = arrival.origins.get(index as usize);
            let parent = origin.and_then(|origin| read(origin.headers.get("traceparent")?));
            let name = format!("poll {}", arrival.source);
            let root = begin(&self.0, parent, name, arrival.asked_at);
            root.end(&End::Done, arrival.came_at);
            Begun { index, root }
        };
        (0..arrival.count).map(begin).collect()
    }
}

// === impl Recorded ===

impl Recorded {
    fn lock(&self) -> MutexGuard<'_, Vec<SpanLine>> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn begin(
    recorded: &Arc<Recorded>,
    parent: Option<SpanId>,
    name: String,
    start: Duration,
) -> Arc<dyn Span> {
    let span = recorded.next.fetch_add(1, Relaxed) + 1;
    let trace = parent.map_or(u128::from(span), |parent| parent.trace);
    let mut spans = recorded.lock();
    spans.push(SpanLine {
        trace,
        id: span,
        parent: parent.map(|parent| parent.span),
        name,
        start,
        end: None,
        how: String::new(),
        links: Vec::new(),
    });
    Arc::new(Live {
        recorded: recorded.clone(),
        place: spans.len() - 1,
        id: SpanId { trace, span },
    })
}

fn read(traceparent: &str) -> Option<SpanId> {
    let mut parts = traceparent.split('-').skip(1);
    let trace = u128::from_str_radix(parts.next()?, 16).ok()?;
    let span = u64::from_str_radix(parts.next()?, 16).ok()?;
    Some(SpanId { trace, span })
}

fn words(step: &Step<'_>) -> String {
    match step {
        Step::Queue { stage } => format!("queue {stage}"),
        Step::Process { stage, .. } => format!("process {stage}"),
        Step::Attempt { stage, number } => format!("attempt {stage} {number}"),
        Step::Wait { stage, reason } => format!("wait {stage} {reason}"),
        Step::Batch { info } => format!("batch {} {}", info.batcher, info.size),
        Step::Send { sink, count, .. } => format!("send {sink} {count}"),
        Step::Create { sink, .. } => format!("create {sink}"),
        Step::Settle {
            outcome, abandoned, ..
        } => match abandoned {
            true => "settle abandoned".to_owned(),
            false => format!("settle {}", outcome.word()),
        },
        other => format!("{other:?}"),
    }
}

// === impl Live ===

impl Live {
    fn change(&self, change: impl FnOnce(&mut SpanLine)) {
        if let Some(line) = self.recorded.lock().get_mut(self.place) {
            change(line);
        }
    }

    fn finish(&self, how: &str, at: Option<Duration>) {
        self.change(|line| {
            if line.how.is_empty() {
                line.end = at;
                how.clone_into(&mut line.how);
            }
        });
    }
}

impl Span for Live {
    fn start(&self, step: &Step<'_>, at: Duration) -> Arc<dyn Span> {
        begin(&self.recorded, Some(self.id), words(step), at)
    }

    fn link(&self, to: &dyn Span) {
        let to = to.id().span;
        self.change(|line| line.links.push(to));
    }

    fn enter(&self) -> Box<dyn Scope> {
        self.recorded.entered.fetch_add(1, Relaxed);
        Box::new(Left(self.recorded.clone()))
    }

    fn headers(&self) -> Headers {
        let SpanId { trace, span } = self.id;
        [("traceparent", format!("00-{trace:032x}-{span:016x}-01"))]
            .into_iter()
            .collect()
    }

    fn id(&self) -> SpanId {
        self.id
    }

    fn end(&self, end: &End<'_>, at: Duration) {
        match end {
            End::Done => self.finish("done", Some(at)),
            End::Failed { kind, .. } => self.finish(kind, Some(at)),
            _ => self.finish("abandoned", Some(at)),
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.finish("dropped", None);
    }
}

impl Scope for Left {}

impl Drop for Left {
    fn drop(&mut self) {
        self.0.left.fetch_add(1, Relaxed);
    }
}
