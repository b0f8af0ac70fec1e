//! The dead-letter route: a message is rejected only once its letter is written.

use std::{
    collections::VecDeque, future::poll_fn, panic::AssertUnwindSafe, sync::Arc, time::Duration,
};

use futures_util::FutureExt as _;
use tokio::time::sleep;
use towpath_batcher::SinkStage;
use towpath_core::{
    Batch, BatchInfo, DeadLetter, Ends, Inlet, Lease, Message, Outcome, Sink, StageControl,
    StageName, StageStats, Trigger, Work, Written,
};

use crate::assembly::{Assembly, buffers};

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
    let (outlet, inlet) = assembly.link::<Message<DeadLetter>>(HANDS, 1);
    assembly.letters = Some(outlet);
    let info = sink.info().of_kind(LETTERS);
    let stats = Arc::<StageStats>::default();
    let sink = Arc::new(sink);
    let opening = sink.clone();
    assembly.opener(info.name.clone(), async move {
        opening.open::<DeadLetter>().await
    });
    let (name, counters) = (info.name.clone(), stats.clone());
    let factory = Box::new(move |_| writing(&name, &sink, &inlet, &counters));
    assembly.stage(info, stats, Arc::new(StageControl::new(1, 1)), factory);
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
    };
    Box::pin(writer.run(inlet()))
}

struct Writer<S> {
    name: StageName,
    sink: Lease<S>,
    stats: Arc<StageStats>,
}

impl<S: Sink<DeadLetter>> Writer<S> {
    async fn run(mut self, mut inlet: Box<dyn Inlet<Message<DeadLetter>>>) {
        let mut inbox = VecDeque::new();
        while poll_fn(|cx| inlet.poll_fill(usize::MAX, &mut inbox, cx)).await {
            let mut letters: Vec<_> = inbox.drain(..).collect();
            self.stats.add_received(letters.len());
            let mut backoff = FIRST_BACKOFF;
            while !self.write(&mut letters).await {
                sleep(backoff).await;
                backoff = (backoff * 2).min(MAX_BACKOFF);
            }
        }
    }

    /// Writes letters; leaves those that must be tried again. Whether all are written.
    async fn write(&mut self, letters: &mut Vec<Message<DeadLetter>>) -> bool {
        let items = letters.iter().map(|letter| letter.payload().clone());
        let info = BatchInfo::new(self.name.clone(), letters.len(), Trigger::Chunk);
        let batch = Batch::new(items.collect(), Vec::new(), info);
        let writing = AssertUnwindSafe(async {
            let written = self.sink.write(batch).await?;
            self.sink.flush().await.map(|()| written)
        });
        match writing.catch_unwind().await {
            Ok(Ok(Written::Each(verdicts))) => {
                let results = verdicts.into_results(letters.len());
                let tried = std::mem::take(letters).into_iter().zip(results);
                for (letter, result) in tried {
                    match result {
                        Ok(()) => self.settle(letter),
                        Err(_) => letters.push(letter),
                    }
                }
            }
            Ok(Ok(_)) => letters.drain(..).for_each(|letter| self.settle(letter)),
            Ok(Err(_)) => self.stats.add_failed(letters.len()),
            Err(_) => self.stats.add_panicked(letters.len()),
        }
        letters.is_empty()
    }

    fn settle(&self, letter: Message<DeadLetter>) {
        self.stats.add_sent(1);
        let (letter, receipt) = letter.into_parts();
        receipt.settle(Outcome::Reject(letter.cause));
    }
}
