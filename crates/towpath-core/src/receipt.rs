//! Receipts: the private tokens that tie messages to their deliveries.

mod join;
mod settler;
mod traced;

use std::{fmt, sync::Arc, time::Duration};

pub use join::Split;
pub use settler::Settler;

use crate::{
    Ledger, Message, Origin, Original, Outcome, SettleOptions, UnsupportedOption,
    trace::{Begun, End, Journey, Span},
};
use join::{Join, Kind};
use traced::Journeys;

/// Ties a message to its delivery: exactly one outcome reaches the source through it.
///
/// Dropping one unsettled gives the message back to the source: a panic, a
/// cancelled future or an aborted task is never an acknowledgement.
#[must_use = "dropping a receipt gives its message back to the source"]
pub struct Receipt {
    header: Option<Arc<Header>>,
    index: u32,
    /// Three marks, and in the upper half the extra attempts.
    marks: u32,
}

/// The batch that carries this message closes with it.
const FLUSH: u32 = 1;
/// The outcome is known already: the receipt only tells where the message came from.
const SETTLED: u32 = 2;
/// The message has a journey.
const TRACED: u32 = 4;
/// One attempt more than the source knows of; as many as fit into the upper half are counted.
const ATTEMPT: u32 = 1 << 16;
const MOST_ATTEMPTS: u32 = u32::MAX / ATTEMPT;

#[derive(Debug)]
enum Header {
    Delivered(Delivered),
    Joined(Join),
}

/// What the messages of one source chunk share: the way back, and where they came from.
pub struct Delivered {
    ledger: Arc<Ledger>,
    port: Option<(Arc<dyn SettlePort>, u32)>,
    emitted_at: Duration,
    origins: Vec<Origin>,
    originals: Option<Box<dyn Originals>>,
    journeys: Journeys,
    sent: bool,
}

/// The receipts of a chunk, in order. Those that are not taken are given back.
#[derive(Debug)]
pub struct Receipts {
    header: Arc<Header>,
    next: u32,
    count: u32,
}

/// Where outcomes go on their way to the source. Never blocks.
pub trait SettlePort: Send + Sync {
    /// Takes the outcome of one message of a chunk; `told` is the span of telling it, where
    /// the message is traced.
    fn settle(&self, chunk: u32, index: u32, outcome: Outcome, told: Option<Arc<dyn Span>>);

    /// Takes a run of messages of a chunk that are done.
    fn settle_done(&self, chunk: u32, indices: &[u32]);

    /// Changes how one message of a chunk will be settled.
    ///
    /// # Errors
    /// Fails when the source does not know the option.
    fn configure(
        &self,
        chunk: u32,
        index: u32,
        options: &SettleOptions,
    ) -> Result<(), UnsupportedOption>;
}

/// The payloads of a chunk as they left their source, kept for the dead-letter route.
pub trait Originals: Send + Sync {
    /// The payload of one message.
    fn get(&self, index: u32) -> Option<Original>;
}

// === impl Delivered ===

impl Delivered {
    /// Describes a chunk of a source that wants no outcomes back.
    pub fn new(ledger: Arc<Ledger>) -> Self {
        Self {
            emitted_at: ledger.now(),
            ledger,
            port: None,
            origins: Vec::new(),
            originals: None,
            journeys: Journeys::default(),
            sent: true,
        }
    }

    /// Sends the outcomes to `port`, as those of `chunk`.
    #[must_use]
    pub fn settled_by(mut self, port: Arc<dyn SettlePort>, chunk: u32) -> Self {
        self.port = Some((port, chunk));
        self
    }

    /// With the origin of each message, by its index; empty where nothing is known.
    #[must_use]
    pub fn with_origins(mut self, origins: Vec<Origin>) -> Self {
        self.origins = origins;
        self
    }

    /// With the original payloads, for the dead-letter route.
    #[must_use]
    pub fn with_originals(mut self, originals: Option<Box<dyn Originals>>) -> Self {
        self.originals = originals;
        self
    }

    /// With the traces of those that are traced.
    #[must_use]
    pub fn traced(mut self, begun: Vec<Begun>) -> Self {
        self.journeys = Journeys::new(begun, &self.ledger);
        self
    }

    /// Marks messages that go back to their source and were never sent: they count as
    /// deliveries, and never were in flight.
    #[must_use]
    pub fn unsent(mut self) -> Self {
        self.sent = false;
        self
    }

    /// Counts `count` messages as emitted and makes a receipt for each, in order.
    pub fn into_receipts(self, count: u32) -> Receipts {
        self.ledger.emitted(u64::from(count), self.sent);
        Receipts {
            header: Arc::new(Header::Delivered(self)),
            next: 0,
            count,
        }
    }

    /// As [`into_receipts`](Self::into_receipts), one for each message, in its place.
    pub(crate) fn tie<T>(self, messages: &mut [Message<T>]) {
        self.ledger.emitted(messages.len() as u64, self.sent);
        let header = Arc::new(Header::Delivered(self));
        for (message, index) in messages.iter_mut().zip(0_u32..) {
            *message.receipt_mut() = Receipt {
                header: Some(header.clone()),
                index,
                marks: 0,
            };
        }
        if let Header::Delivered(delivered) = &*header {
            for index in delivered.journeys.indices() {
                if let Some(message) = messages.get_mut(index as usize) {
                    message.receipt_mut().marks |= TRACED;
                }
            }
        }
    }

    fn attempts(&self, index: u32) -> u32 {
        let origin = self.origins.get(index as usize);
        origin.map_or(1, |origin| origin.attempt.max(1))
    }

    fn time_left(&self) -> Option<Duration> {
        let deadline = self.ledger.deadline()?;
        Some(deadline.saturating_sub(self.took()))
    }

    fn took(&self) -> Duration {
        self.ledger.now().saturating_sub(self.emitted_at)
    }

    fn settle(&self, index: u32, mut outcome: Outcome, abandoned: bool, journey: Option<&Journey>) {
        if abandoned {
            let origin = self.origins.get(index as usize).cloned();
            self.ledger.note_abandoned(origin.unwrap_or_default());
        }
        let told = journey.map(|journey| journey.settle(&mut outcome, abandoned));
        self.ledger.settled(&outcome, abandoned, self.took());
        match &self.port {
            Some((port, chunk)) => port.settle(*chunk, index, outcome, told),
            None => traced::told_nobody(told, &self.ledger),
        }
    }
}

impl fmt::Debug for Delivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivered")
            .field("emitted_at", &self.emitted_at)
            .finish_non_exhaustive()
    }
}

// === impl Receipts ===

impl Iterator for Receipts {
    type Item = Receipt;

    #[inline]
    fn next(&mut self) -> Option<Receipt> {
        if self.next == self.count {
            return None;
        }
        let index = self.next;
        self.next += 1;
        let is_traced = match &*self.header {
            Header::Delivered(delivered) => delivered.journeys.has(index),
            Header::Joined(_) => false,
        };
        Some(Receipt {
            header: Some(self.header.clone()),
            index,
            marks: if is_traced { TRACED } else { 0 },
        })
    }
}

impl Drop for Receipts {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

// === impl Header ===

impl Header {
    fn settle(
        &self,
        index: u32,
        extra: u32,
        mut outcome: Outcome,
        abandoned: bool,
        journey: Option<&Journey>,
    ) {
        match self {
            Self::Delivered(delivered) => {
                if let Outcome::Retry { attempts, .. } = &mut outcome {
                    *attempts = extra.saturating_add(1);
                }
                delivered.settle(index, outcome, abandoned, journey);
            }
            Self::Joined(join) => {
                if let Some(part) = journey {
                    part.leave(&End::Abandoned);
                }
                join.record(outcome, extra, abandoned);
            }
        }
    }
}

// === impl Receipt ===

impl Receipt {
    /// A receipt of a best-effort copy: nobody waits for its outcome.
    pub fn detached() -> Self {
        Self {
            header: None,
            index: 0,
            marks: SETTLED,
        }
    }

    /// Settles the message.
    pub fn settle(mut self, outcome: Outcome) {
        self.settle_now(outcome);
    }

    /// Settles the message while it goes on; a later outcome changes nothing.
    pub fn settle_now(&mut self, outcome: Outcome) {
        self.finish(outcome, false);
    }

    fn finish(&mut self, outcome: Outcome, abandoned: bool) {
        if self.is_settled() {
            return;
        }
        self.marks |= SETTLED;
        if let Some(header) = &self.header {
            let journey = self.journey();
            let extra = self.extra_attempts();
            header.settle(self.index, extra, outcome, abandoned, journey.as_deref());
        }
    }

    /// Whether the outcome is known already.
    #[inline]
    pub fn is_settled(&self) -> bool {
        self.marks & SETTLED != 0
    }

    /// Marks the message: the batch it gets into closes with it.
    pub fn mark_flush(&mut self) {
        self.marks |= FLUSH;
    }

    /// Whether the message closes the batch it gets into.
    #[inline]
    pub fn is_flush(&self) -> bool {
        self.marks & FLUSH != 0
    }

    /// Counts attempts that were made in place, beyond the one of the delivery.
    ///
    /// 65 535 are counted; what is beyond is not.
    #[inline]
    pub fn add_attempts(&mut self, extra: u32) {
        let all = self.extra_attempts().saturating_add(extra);
        let marks = self.marks % ATTEMPT;
        self.marks = all.min(MOST_ATTEMPTS) * ATTEMPT + marks;
    }

    /// How often the message was tried, this time included: the deliveries that its source
    /// knows of, and the attempts made in place.
    #[inline]
    pub fn attempts(&self) -> u32 {
        let delivered = match self.header.as_deref() {
            Some(Header::Delivered(delivered)) => delivered.attempts(self.index),
            Some(Header::Joined(join)) => join.with_parent(Receipt::attempts),
            None => 1,
        };
        delivered.saturating_add(self.extra_attempts())
    }

    /// Whether the source says that it has delivered the message before: it was given back
    /// then. Attempts made in place are no deliveries.
    pub fn is_redelivered(&self) -> bool {
        self.read(|delivered, index| (delivered.attempts(index) > 1).then_some(()))
            .is_some()
    }

    #[inline]
    fn extra_attempts(&self) -> u32 {
        self.marks / ATTEMPT
    }

    /// What is left of the time that the pipeline gives a message; zero when it is over, and
    /// `None` without a [deadline](Ledger::with_deadline).
    #[inline]
    pub fn time_left(&self) -> Option<Duration> {
        match self.header.as_deref()? {
            Header::Delivered(delivered) => delivered.time_left(),
            Header::Joined(join) => join.with_parent(Receipt::time_left),
        }
    }

    /// Splits the receipt: it settles when all parts have, with the worst of their outcomes.
    ///
    /// Each part counts its own attempts; the highest count is that of the whole.
    ///
    /// The identity of a part is that of the whole with `#` and its number, from 0: two parts
    /// are two things to whoever remembers identities.
    pub fn split(self) -> Split {
        Split::new(self, Kind::Parts)
    }

    /// As [`split`](Self::split), for copies of the message: they keep its identity.
    pub fn share(self) -> Split {
        Split::new(self, Kind::Copies)
    }

    /// Changes how the source settles the message.
    ///
    /// # Errors
    /// Fails when the source does not know the option.
    pub fn configure(&self, options: &SettleOptions) -> Result<(), UnsupportedOption> {
        if self.is_settled() && self.header.is_some() {
            // Too late, and its place in the table of the source may be another's by now.
            return Ok(());
        }
        match self.header.as_deref() {
            Some(Header::Delivered(Delivered {
                port: Some((port, chunk)),
                ..
            })) => port.configure(*chunk, self.index, options),
            Some(Header::Joined(join)) => join.with_parent(|parent| parent.configure(options)),
            _ => Err(UnsupportedOption::any(options)),
        }
    }

    /// Where the message came from. Attempts made in place raise its
    /// [`attempt`](Origin::attempt).
    pub fn origin(&self) -> Origin {
        let origin = match self.header.as_deref() {
            Some(Header::Delivered(delivered)) => {
                let known = delivered.origins.get(self.index as usize);
                known.cloned().unwrap_or_default()
            }
            Some(Header::Joined(join)) => join.origin(self.index),
            None => Origin::default(),
        };
        origin.tried_again(self.extra_attempts())
    }

    /// The payload as it left its source, where the source keeps it.
    pub fn original(&self) -> Option<Original> {
        self.read(|delivered, index| delivered.originals.as_ref()?.get(index))
    }

    /// Whether its [`origin`](Self::origin) says anything: where the message came from, or
    /// how often it was tried.
    pub fn has_origin(&self) -> bool {
        self.extra_attempts() > 0 || self.source_knows()
    }

    fn source_knows(&self) -> bool {
        self.read(|delivered, _| (!delivered.origins.is_empty()).then_some(()))
            .is_some()
    }

    fn read<R>(&self, read: impl FnOnce(&Delivered, u32) -> Option<R>) -> Option<R> {
        match self.header.as_deref()? {
            Header::Delivered(delivered) => read(delivered, self.index),
            Header::Joined(join) => join.with_parent(|parent| parent.read(read)),
        }
    }
}

impl Drop for Receipt {
    #[inline]
    fn drop(&mut self) {
        if !self.is_settled() {
            self.finish(Outcome::retry(), true);
        }
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt")
            .field("index", &self.index)
            .field("settled", &self.is_settled())
            .field("extra_attempts", &self.extra_attempts())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
