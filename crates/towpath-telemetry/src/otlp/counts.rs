//! What became of what there was to send.

/// What became of the spans, log records or pushes of figures that there were to send.
///
/// At any moment `emitted == sent + lost() + waiting()`, and after the shutdown nothing waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Exported {
    /// How many there were to send.
    pub emitted: u64,
    /// How many of them the collector has confirmed.
    pub sent: u64,
    /// Lost because the queue was full.
    pub overflowed: u64,
    /// Lost because the collector could not be reached, did not answer or refused them, after
    /// all attempts.
    pub failed: u64,
    /// Lost because the collector takes nothing of the kind: many take only traces. To send
    /// none, set `OTEL_LOGS_EXPORTER` or `OTEL_METRICS_EXPORTER` to `none`.
    pub unwanted: u64,
    /// Lost because the shutdown was over before they were confirmed. The collector may have
    /// some of them.
    pub cut_off: u64,
}

/// How a shutdown went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Shutdown {
    /// What became of the spans.
    pub spans: Exported,
    /// What became of the log records.
    pub logs: Exported,
    /// What became of the pushes of figures. Each holds all figures since the pipelines began,
    /// so one that is lost loses none of them.
    pub metrics: Exported,
    /// Whether the fate of everything was known before the deadline.
    pub in_time: bool,
}

// === impl Exported ===

impl Exported {
    /// How many are lost, for whatever reason.
    pub fn lost(&self) -> u64 {
        self.overflowed + self.failed + self.unwanted + self.cut_off
    }

    /// How many wait to be sent or confirmed.
    pub fn waiting(&self) -> u64 {
        self.emitted.saturating_sub(self.sent + self.lost())
    }
}

// === impl Shutdown ===

impl Shutdown {
    /// How many spans, log records and pushes are lost.
    pub fn lost(&self) -> u64 {
        self.spans.lost() + self.logs.lost() + self.metrics.lost()
    }
}
