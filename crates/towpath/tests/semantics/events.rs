//! What a pipeline says about itself, for tests that wait for it; and numbers from a seed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use towpath::{Event, EventKind, Observer};

/// Keeps the events of a pipeline.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    kept: Arc<Mutex<Vec<Event>>>,
    count: watch::Sender<usize>,
}

impl Events {
    pub(crate) fn new() -> Self {
        Self {
            kept: Arc::default(),
            count: watch::Sender::new(0),
        }
    }

    /// For [`Pipeline::observer`](towpath::Pipeline::observer).
    pub(crate) fn observer(&self) -> impl Observer + use<> {
        let events = self.clone();
        move |event: &Event| {
            events.kept.lock().unwrap().push(event.clone());
            events.count.send_modify(|count| *count += 1);
        }
    }

    pub(crate) fn all(&self) -> Vec<Event> {
        self.kept.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, which: impl Fn(&Event) -> bool) -> usize {
        self.all().iter().filter(|event| which(event)).count()
    }

    /// Waits until `n` events are such.
    pub(crate) async fn wait_for(&self, n: usize, which: impl Fn(&Event) -> bool) {
        let mut changed = self.count.subscribe();
        changed
            .wait_for(|_| self.count(&which) >= n)
            .await
            .expect("the sender is here");
    }

    /// Waits until workers were started again `n` times.
    pub(crate) async fn wait_for_restarts(&self, n: usize) {
        self.wait_for(n, |event| matches!(event.kind, EventKind::Restarted { .. }))
            .await;
    }
}

/// Waits until everything else waits: paused time moves on only then.
pub(crate) async fn idle() {
    tokio::time::sleep(std::time::Duration::from_nanos(1)).await;
}

/// Numbers from a seed, the same each time.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}
