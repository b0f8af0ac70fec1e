//! T3: a channel of one place that stages send into, with a slow reader.

use std::time::Duration;

use tokio::{
    sync::mpsc,
    task::yield_now,
    time::{Instant, sleep, timeout},
};
use towpath::Report;

use super::{PATIENCE, Snoozed, Subject, enough, in_time, run};

/// How long the reader takes over a note.
const READ: Duration = Duration::from_millis(1);

/// Sends notes into a channel of one place. Cloning gives another sender.
#[derive(Clone, Debug)]
pub struct Notes(mpsc::Sender<()>);

impl Notes {
    /// Sends `count` notes, and yields after each: permits that a handler takes and nobody sees.
    pub fn send(&self, count: usize) -> impl Future<Output = ()> + Send + use<> {
        let notes = self.0.clone();
        async move {
            for _ in 0..count {
                // The reader reads until the last sender is gone.
                if notes.send(()).await.is_err() {
                    return;
                }
                yield_now().await;
            }
        }
    }

    /// A channel of one place, and how many notes its slow reader reads.
    pub fn with_reader() -> (Self, impl Future<Output = u64>) {
        let (sender, mut receiver) = mpsc::channel(1);
        let reader = async move {
            let mut read = 0;
            while receiver.recv().await.is_some() {
                read += 1;
                sleep(READ).await;
            }
            read
        };
        (Self(sender), reader)
    }
}

/// T3: runs a pipeline whose stages send notes into one channel of one place.
///
/// # Errors
/// Fails when the pipeline hangs, takes more than twice as long as it takes to read the
/// notes, or shows nothing.
pub async fn narrow_channel<S: Subject>(build: impl FnOnce(Notes) -> S) -> Result<Report, Snoozed> {
    let (notes, reader) = Notes::with_reader();
    let begun = Instant::now();
    let running = async {
        let (report, _) = run(build(notes)).await?;
        Ok::<_, Snoozed>(report)
    };
    // A pipeline that hangs is dropped, and its senders with it: the reader always ends.
    let (report, read) = tokio::join!(running, timeout(PATIENCE * 2, reader));
    let (report, read) = (report?, read.unwrap_or(0));
    enough(&report)?;
    if read < report.counts.emitted {
        return Err(Snoozed::Unused { times: read });
    }
    let turns = u32::try_from(read).unwrap_or(u32::MAX);
    in_time(begun.elapsed(), READ * turns * 2)?;
    Ok(report)
}
