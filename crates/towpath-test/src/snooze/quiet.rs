//! T5: a source that is quiet most of the time.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use towpath::{Pipeline, Report, Source};

use super::{PATIENCE, Snoozed, hung, in_time, join};
use crate::{Probe, ProbeProducer, hold::lock};

const MESSAGES: u64 = 20;
const EVERY: Duration = Duration::from_millis(100);
const WORK: Duration = Duration::from_millis(5);
/// How long a message may take from the end of its work to its outcome.
const SETTLE: Duration = Duration::from_millis(20);

/// Work of 5 ms whose end is noted. Cloning gives another handle.
#[derive(Clone, Debug, Default)]
pub struct Work(Arc<Mutex<Option<Instant>>>);

impl Work {
    /// Works for 5 ms.
    pub fn work(&self) -> impl Future<Output = ()> + Send + use<> {
        let ended = self.0.clone();
        async move {
            sleep(WORK).await;
            *lock(&ended) = Some(Instant::now());
        }
    }

    fn take_ended(&self) -> Option<Instant> {
        lock(&self.0).take()
    }
}

/// T5: runs a pipeline with one message every 100 ms and one work of 5 ms for each. Each
/// must be settled within 20 ms of the end of its work, and before another comes; give a
/// batcher a `max_wait` of at most 10 ms.
///
/// # Errors
/// Fails when a message is settled too late.
pub async fn quiet_source<F>(build: F) -> Result<Report, Snoozed>
where
    F: FnOnce(Source<ProbeProducer<u64>>, Work) -> Pipeline,
{
    let (source, probe) = Probe::new();
    let work = Work::default();
    let running = build(source, work.clone()).start().await?;
    for n in 0..MESSAGES {
        let next = Instant::now() + EVERY;
        let settled = timeout_at(next, probe.send(n)).await;
        if settled.is_err() {
            return Err(hung(running.handle().status()));
        }
        match work.take_ended() {
            Some(ended) => in_time(ended.elapsed(), SETTLE)?,
            None => return Err(Snoozed::Unused { times: n }),
        }
        sleep_until(next).await;
    }
    drop(probe);
    join(running, PATIENCE).await
}
