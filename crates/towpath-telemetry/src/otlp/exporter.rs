//! Gets one request across, in several attempts if need be.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{sleep, timeout};

use super::transport::{SendError, Transport};

/// How many attempts a request gets.
const ATTEMPTS: u32 = 5;

/// How many it gets at the shutdown while nobody answers.
const HURRIED_ATTEMPTS: u32 = 2;

/// The wait before the second attempt; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// The longest wait between attempts, unless the collector asks for more.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Sends the requests of one signal.
#[derive(Debug)]
pub(super) struct Exporter {
    signal: &'static str,
    transport: Transport,
}

/// Says once that an outage has begun, and once that it is over; and once that the collector
/// refuses something, or takes nothing of the signal at all.
#[derive(Debug, Default)]
pub(super) struct Outage {
    lasts: bool,
    refuses: bool,
    unwanted: bool,
}

// === impl Exporter ===

impl Exporter {
    pub(super) fn new(signal: &'static str, transport: Transport) -> Self {
        Self { signal, transport }
    }

    /// Sends a request and returns the answer; all attempts together take no longer than
    /// `within`. Once `in_a_hurry`, it gives up early on a collector that says nothing.
    pub(super) async fn export(
        &self,
        request: Bytes,
        within: Duration,
        in_a_hurry: impl Fn() -> bool,
    ) -> Result<Bytes, SendError> {
        let sent = timeout(within, self.attempt(request, in_a_hurry)).await;
        sent.unwrap_or(Err(SendError::Silent))
    }

    async fn attempt(
        &self,
        request: Bytes,
        in_a_hurry: impl Fn() -> bool,
    ) -> Result<Bytes, SendError> {
        let mut wait = FIRST_WAIT;
        for number in 1..ATTEMPTS {
            let error = match self.transport.send(request.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let enough = error.is_silence() && number >= HURRIED_ATTEMPTS && in_a_hurry();
            let Some(asked_for) = error.retry_after().filter(|_| !enough) else {
                return Err(error);
            };
            sleep(spread(wait).max(asked_for)).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
        self.transport.send(request).await
    }
}

/// So that not all who saw a collector go come back at the same time.
fn spread(wait: Duration) -> Duration {
    wait.mul_f64(0.75 + fastrand::f64() / 2.0)
}

// === impl Outage ===

impl Outage {
    /// How the last request went.
    pub(super) fn note(&mut self, exporter: &Exporter, error: Option<&SendError>) {
        let signal = exporter.signal;
        let collector = exporter.transport.address();
        match error {
            Some(SendError::Unwanted { answer }) => return self.note_unwanted(exporter, answer),
            Some(error) if !self.lasts => {
                let cause = std::error::Error::source(error).map(tracing::field::display);
                tracing::warn!(signal, collector, %error, cause, "telemetry is being lost");
            }
            None if self.lasts => tracing::info!(signal, collector, "telemetry arrives again"),
            _ => {}
        }
        self.lasts = error.is_some();
    }

    /// No outage: the collector is there, and is for something else.
    fn note_unwanted(&mut self, exporter: &Exporter, answer: &str) {
        self.lasts = false;
        if !self.unwanted {
            let signal = exporter.signal;
            let collector = exporter.transport.address();
            if signal == "traces" {
                // One that takes no traces is most likely not the one that was meant.
                tracing::warn!(collector, answer, "the collector takes no {signal}");
            } else {
                tracing::info!(collector, answer, "the collector takes no {signal}");
            }
            self.unwanted = true;
        }
    }

    /// What the collector did not want of the last request.
    pub(super) fn note_refused(&mut self, exporter: &Exporter, count: u64, reason: &str) {
        if count > 0 && !self.refuses {
            let signal = exporter.signal;
            let collector = exporter.transport.address();
            tracing::warn!(
                signal,
                collector,
                count,
                reason,
                "the collector refuses some"
            );
            self.refuses = true;
        }
    }
}

#[cfg(test)]
mod tests;
