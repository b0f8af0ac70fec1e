//! What a stage counts: added once per chunk, read at any time.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The counters of one stage.
#[derive(Debug, Default)]
pub struct StageStats {
    received: AtomicU64,
    sent: AtomicU64,
    failed: AtomicU64,
    panicked: AtomicU64,
    restarts: AtomicU64,
    lost_copies: AtomicU64,
}

/// The counters of one stage at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct StageCounts {
    /// Messages (for a sink: batches' messages) taken in.
    pub received: u64,
    /// Messages handed on, or written.
    pub sent: u64,
    /// Messages that failed here, panics included.
    pub failed: u64,
    /// Messages that failed by a panic.
    pub panicked: u64,
    /// Workers that were started again.
    pub restarts: u64,
    /// Best-effort copies that found no room.
    pub lost_copies: u64,
}

impl StageStats {
    /// Messages taken in.
    pub fn add_received(&self, count: usize) {
        self.received.fetch_add(count as u64, Relaxed);
    }

    /// Messages handed on.
    pub fn add_sent(&self, count: usize) {
        self.sent.fetch_add(count as u64, Relaxed);
    }

    /// Messages that failed.
    pub fn add_failed(&self, count: usize) {
        self.failed.fetch_add(count as u64, Relaxed);
    }

    /// Messages that failed by a panic; they count as failed too, elsewhere.
    pub fn add_panicked(&self, count: usize) {
        self.panicked.fetch_add(count as u64, Relaxed);
    }

    /// A worker was started again; tells how often that makes.
    pub fn add_restart(&self) -> u64 {
        self.restarts.fetch_add(1, Relaxed) + 1
    }

    /// Best-effort copies that found no room.
    pub fn add_lost_copies(&self, count: usize) {
        self.lost_copies.fetch_add(count as u64, Relaxed);
    }

    /// The counters now.
    pub fn counts(&self) -> StageCounts {
        StageCounts {
            received: self.received.load(Relaxed),
            sent: self.sent.load(Relaxed),
            failed: self.failed.load(Relaxed),
            panicked: self.panicked.load(Relaxed),
            restarts: self.restarts.load(Relaxed),
            lost_copies: self.lost_copies.load(Relaxed),
        }
    }
}
