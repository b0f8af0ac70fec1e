//! The thread that sends, with a runtime of its own.

use std::{
    io,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use bytes::Bytes;
use opentelemetry::Context;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_sdk::{Resource, trace::SpanData};
use tokio::{
    runtime::{Builder, Runtime},
    sync::{Notify, oneshot},
    time::timeout,
};

use super::{
    exporter::Exporter,
    figures::{FigureSignal, Figures},
    logs::{LogSignal, Record},
    queue::Queue,
    spans::SpanSignal,
    worker::work,
};
use crate::metrics::{self, Family};

/// What waits to be sent.
#[derive(Clone, Debug)]
pub(super) struct Queues {
    pub(super) spans: Arc<Queue<SpanData>>,
    pub(super) logs: Arc<Queue<Record>>,
    pub(super) figures: Arc<Queue<Bytes>>,
}

/// What is to be done on the thread.
pub(super) struct Work {
    pub(super) queues: Queues,
    pub(super) resource: Resource,
    pub(super) traces: Option<Exporter>,
    pub(super) logs: Option<Exporter>,
    pub(super) metrics: Option<(Exporter, Figures)>,
}

/// How to end the thread.
pub(super) struct Sender {
    stop: oneshot::Sender<Stop>,
    thread: thread::JoinHandle<()>,
}

/// Is told whether everything ended in time.
type Done = Box<dyn FnOnce(bool) + Send>;

struct Stop {
    within: Duration,
    done: Done,
}

// === impl Sender ===

impl Sender {
    /// The runtime is made on the thread: one that is dropped on the way, inside of another
    /// runtime, panics.
    pub(super) fn start(work: Work) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = mpsc::sync_channel(1);
        let thread = thread::Builder::new()
            .name("towpath-otlp".to_owned())
            .spawn(move || {
                let (runtime, made) = match runtime() {
                    Ok(runtime) => (Some(runtime), Ok(())),
                    Err(error) => (None, Err(error)),
                };
                // Whoever starts the thread waits for this.
                ready.send(made).ok();
                if let Some(runtime) = runtime {
                    run(runtime, work, stopped);
                }
            })?;
        is_ready.recv().map_err(io::Error::other)??;
        Ok(Self { stop, thread })
    }

    /// Sends what waits, but no longer than that, and tells whether all is settled. The
    /// thread can be joined at once when it has told.
    pub(super) fn stop(
        self,
        within: Duration,
        done: impl FnOnce(bool) + Send + 'static,
    ) -> thread::JoinHandle<()> {
        let done = Box::new(done);
        // It fails only when the thread has died; then `done` is dropped, which tells.
        self.stop.send(Stop { within, done }).ok();
        self.thread
    }
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .build()
}

fn run(runtime: Runtime, work: Work, stopped: oneshot::Receiver<Stop>) {
    // What the clients log and trace must not become telemetry that is to be sent.
    let _suppressed = Context::enter_telemetry_suppressed_scope();
    let queues = work.queues.clone();
    let ended = runtime.block_on(work.until(stopped));
    // Whatever the resolver still does, nobody waits for it.
    runtime.shutdown_background();
    queues.abandon();
    if let Some((done, in_time)) = ended {
        done(in_time);
    }
}

// === impl Work ===

impl Work {
    async fn until(self, mut stopped: oneshot::Receiver<Stop>) -> Option<(Done, bool)> {
        let queues = self.queues.clone();
        let last_push = Arc::new(Notify::new());
        let mut all = Box::pin(self.all(Arc::clone(&last_push)));
        let mut all_ended = false;
        let stop = tokio::select! {
            stop = &mut stopped => stop,
            () = &mut all => {
                all_ended = true;
                stopped.await
            }
        };
        // Without word the handle was forgotten, and nobody waits.
        let Stop { within, done } = stop.ok()?;
        queues.spans.close();
        queues.logs.close();
        last_push.notify_one();
        let in_time = all_ended || timeout(within, all).await.is_ok();
        Some((done, in_time))
    }

    async fn all(self, last_push: Arc<Notify>) {
        let Self {
            queues, resource, ..
        } = self;
        let resource = || ResourceAttributesWithSchema::from(&resource);
        let spans = async {
            if let Some(exporter) = self.traces {
                work(SpanSignal(resource()), &queues.spans, &exporter).await;
            }
        };
        let logs = async {
            if let Some(exporter) = self.logs {
                work(LogSignal(resource()), &queues.logs, &exporter).await;
            }
        };
        let metrics = async {
            if let Some((exporter, figures)) = self.metrics {
                let push = figures.push(&queues.figures, last_push);
                tokio::join!(push, work(FigureSignal, &queues.figures, &exporter));
            }
        };
        tokio::join!(spans, logs, metrics);
    }
}

// === impl Queues ===

impl Queues {
    /// What became of everything, as figures.
    pub(super) fn families(&self) -> Vec<Family> {
        let signals = [
            ("spans", self.spans.counts()),
            ("logs", self.logs.counts()),
            ("metrics", self.figures.counts()),
        ];
        let families = signals.iter().flat_map(|(signal, counts)| {
            let lost = [
                ("overflowed", counts.overflowed),
                ("failed", counts.failed),
                ("unwanted", counts.unwanted),
                ("cut_off", counts.cut_off),
            ];
            metrics::exported(signal, counts.sent, Some(counts.waiting()), &lost)
        });
        families.collect()
    }

    /// Counts what waits as cut off, and takes no more.
    pub(super) fn abandon(&self) {
        self.spans.abandon(|counts| &mut counts.cut_off);
        self.logs.abandon(|counts| &mut counts.cut_off);
        self.figures.abandon(|counts| &mut counts.cut_off);
    }
}
