//! The dead-letter route: a message is rejected only once its letter is written.

use std::{
    collections::VecDeque, future::poll_fn, panic::AssertUnwindSafe, sync::Arc, time::Duration,
};

use futures_util::FutureExt as _;
use tokio::time::sleep;
use towpath_batcher::SinkStage;
use towpath_core::{
    Batch, BatchInfo, DeadLetter, Ends, Inlet, Lease, Message, Outcome, Panicked, Sink,
    StageControl, StageName, StageStats, Trigger, Work, Written,
    trace::{self, TracedWrite},
};

use crate::assembly::{Assembly, Wired, buffers};

/// Workers that can hand letters on at once without waiting for each other.
const HANDS: usize = 8;
/// The kind of the stage that writes letters, and the chunks of the link to it.
pub(crate) const LETTERS: &str = "dead letters";
pub(crate) const LETTER_CHUNKS: usize = buffers(HANDS, 1);
/// The first pause after a letter that could not be written; it doubles up to five seconds.
const FIRST_BACKOFF: Duration = Duration::from_millis(20);
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// Adds the stage that writes letters.
pub(crate) fn add_letters<S: Sink<DeadLetter>>(assembly: &mut Assembly, sink: SinkStage<S>) {
    let stats = assembly.stats();
    let (outlet, wired) = assembly.link::<Message<DeadLetter>>(HANDS, 1, &stats);
    let Wired { inlet, queue } = wired;
    assembly.letters = Some(outlet);
    let info = sink.info().of_kind(LETTERS);
    let sink = Arc::new(sink);
    let opening = sink.clone();
    assembly.opener(info.name.clone(), async move {
        opening.open::<DeadLetter>().await
    });
    let (name, counters) = (info.name.clone(), stats.clone());
    let factory = Box::new(move |_| writing(&name, &sink, &inlet, &counters));
    let control = Arc::new(StageControl::new(1, 1));
    assembly.stage(info, stats, control, Some(queue), factory);
}

fn writing<S: Sink<DeadLetter>>(
    name: &StageName,
    sink: &SinkStage<S>,
    inlet: &Ends<dyn Inlet<Message<DeadLetter>>>,
    stats: &Arc<StageStats>,
) -> Work {
    let Some(sink) = sink.lease() else {
        return Box::pin(async {});
    };
    let writer = Writer {
        name: name.clone(),
        sink,
        stats: stats.clone(),
        letters: Vec::new(),
    };
    Box::pin(writer.run(inlet()))
}

struct Writer<S> {
    name: StageName,
    sink: Lease<S>,
    stats: Arc<StageStats>,
    /// Those at hand, whose writing is tried until it succeeds.
    letters: Vec<Message<DeadLetter>>,
}

impl<S: Sink<DeadLetter>> Writer<S> {
    async fn run(mut self, mut inlet: Box<dyn Inlet<Message<DeadLetter>>>) {
        if let Some(reach) = self.sink.reach() {
            self.stats.set_reach(reach);
        }
        let mut inbox = VecDeque::new();
        while poll_fn(|cx| inlet.poll_fill(usize::MAX, &mut inbox, cx)).await {
            self.letters.extend(inbox.drain(..));
            self.stats.add_received(self.letters.len());
            let mut backoff = FIRST_BACKOFF;
            while !self.write().await {
                sleep(backoff).await;
                backoff = (backoff * 2).min(MAX_BACKOFF);
            }
        }
    }

    /// Writes letters; leaves those that must be tried again. Whether all are written.
    async fn write(&mut self) -> bool {
        let letters = &mut self.letters;
        let items = letters.iter().map(|letter| letter.payload().clone());
        let info = BatchInfo::new(self.name.clone(), letters.len(), Trigger::Chunk);
        let receipts = letters.iter().map(Message::receipt);
        let traced = TracedWrite::begin(receipts, &info, &self.name, &self.sink.peer());
        let mut batch = Batch::new(items.collect(), Vec::new(), info);
        if let Some(traced) = &traced {
            batch = traced.carried_by(batch);
        }
        let writing = trace::within(traced.as_ref(), async {
            let written = self.sink.write(batch).await?;
            self.sink.flush().await.map(|()| written)
        });
        let answer = AssertUnwindSafe(writing).catch_unwind().await;
        let answer = answer.map_err(Panicked::from_payload);
        if let Some(traced) = traced {
            traced.end(match &answer {
                Ok(Ok(_)) => None,
                Ok(Err(error)) => Some(&**error),
                Err(panicked) => Some(panicked),
            });
        }
        match answer {
            Ok(Ok(Written::Each(verdicts))) => {
                let results = verdicts.into_results(letters.len());
                let tried = std::mem::take(letters).into_iter().zip(results);
                for (letter, result) in tried {
                    match result {
                        Ok(()) => settle(letter, &self.stats),
                        Err(_) => letters.push(letter),
                    }
                }
            }
            Ok(Ok(_)) => letters
                .drain(..)
                .for_each(|letter| settle(letter, &self.stats)),
            Ok(Err(_)) => {}
            Err(_) => self.stats.add_panicked(letters.len()),
        }
        self.stats.add_retried(letters.len());
        letters.is_empty()
    }
}

fn settle(letter: Message<DeadLetter>, stats: &StageStats) {
    stats.add_sent(1);
    trace::written(letter.receipt());
    let (letter, receipt) = letter.into_parts();
    receipt.settle(Outcome::Reject(letter.cause));
}

impl<S> Drop for Writer<S> {
    /// Messages whose letter is not written go back to their source.
    fn drop(&mut self) {
        self.stats.add_given_back(self.letters.len());
    }
}
