//! What a connector has to keep to, and what is said when it does not.

use std::fmt;

/// What a source has to keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SourceRule {
    /// Everything that was put in comes out as it was put in, and once all is done the
    /// server holds nothing more.
    AtLeastOnce,
    /// What is not done yet is still at the server: nothing is acknowledged early.
    NotEarly,
    /// What is given back comes again, and its neighbours do not.
    GivenBack,
    /// What nobody settled comes again: its receipt was dropped, or its worker died.
    Dropped,
    /// What a pipeline had that was killed comes to the next one.
    Killed,
    /// What is rejected or left out on purpose is over: it does not come again.
    Over,
    /// A message that is given back with a delay comes when that is over, and not before.
    Delay,
    /// Messages come in the order that is promised.
    Order,
    /// Several consumers share the work, and nothing is lost or done twice between them.
    Group,
    /// A drain acknowledges everything that is done: nothing of it comes again.
    Drain,
    /// What was not done when a pipeline was stopped comes to the next one; what was done
    /// does not.
    Stop,
    /// A stop ends in time, also when nothing comes and when the server is gone.
    StopInTime,
    /// A server that is killed and started again is found again, and nothing is lost.
    Reconnect,
    /// A server that hangs is noticed, and nothing is lost when it goes on.
    Frozen,
    /// A server that is not there at the start is waited for; readiness says why, without
    /// secrets.
    Absent,
    /// A place that does not exist is an error that names it.
    Missing,
    /// Empty and large payloads come through, and any bytes.
    Sizes,
    /// Headers come in: trace, attempt, and those of the user.
    Headers,
    /// Each delivery counts one attempt more, under the same identity.
    Attempts,
    /// Pipelines that are stopped at random moments, all over one place, lose nothing.
    ConcurrentClose,
    /// A call that is dropped at any await loses nothing.
    Cancel,
    /// A message that is worked on for longer than its lease stays with its worker.
    Lease,
    /// An outcome that comes when the message belongs to somebody else changes nothing.
    Fenced,
    /// While the server is gone, next to nothing is done.
    Quiet,
    /// No more is received than was asked for, nor claimed at the server.
    Demand,
}

/// What a sink has to keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SinkRule {
    /// Everything that is written is stored as it was, in the order that is promised.
    Stored,
    /// What is done is stored: it outlives a server that is killed right after.
    Durable,
    /// Several workers at once store everything.
    Workers,
    /// A message that comes again is stored once, where that is promised.
    Idempotent,
    /// One message that the system refuses fails alone.
    Refused,
    /// Empty and large payloads are stored, and any bytes; one that is too large fails alone.
    Sizes,
    /// Headers go out: trace, attempt, and those of the user.
    Headers,
    /// A server that is killed and started again is found again, and nothing is lost.
    Reconnect,
    /// A server that hangs is waited for, and nothing is lost when it goes on.
    Frozen,
    /// A server that is not there at the start is waited for; readiness says why, without
    /// secrets.
    Absent,
    /// A place that does not exist is an error that names it.
    Missing,
    /// A stop ends in time, also when the server is gone; what was not written goes back.
    StopInTime,
    /// A write that is dropped at any await can be made again, and loses nothing.
    Cancel,
    /// While the server is gone, next to nothing is done.
    Quiet,
}

/// What a source and a sink of one system have to keep to together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BothRule {
    /// What the sink writes comes out of the source as it was: key, bytes, headers.
    RoundTrip,
    /// Traces and attempts go on from one pipeline to the next.
    Trace,
    /// A pipeline from place to place loses nothing when the server is killed in the middle.
    Relay,
}

/// A rule that a connector breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule}: {what}")]
#[non_exhaustive]
pub struct Broken {
    /// The rule.
    pub rule: Rule,
    /// What was seen.
    pub what: String,
}

/// Any rule of the suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// Of a source.
    Source(SourceRule),
    /// Of a sink.
    Sink(SinkRule),
    /// Of both.
    Both(BothRule),
}

// === impl SourceRule ===

impl SourceRule {
    /// All rules, the most basic ones first.
    pub const ALL: [Self; 25] = [
        Self::AtLeastOnce,
        Self::NotEarly,
        Self::GivenBack,
        Self::Dropped,
        Self::Killed,
        Self::Over,
        Self::Delay,
        Self::Order,
        Self::Group,
        Self::Drain,
        Self::Stop,
        Self::StopInTime,
        Self::Reconnect,
        Self::Frozen,
        Self::Absent,
        Self::Missing,
        Self::Sizes,
        Self::Headers,
        Self::Attempts,
        Self::ConcurrentClose,
        Self::Cancel,
        Self::Lease,
        Self::Fenced,
        Self::Quiet,
        Self::Demand,
    ];

    /// The rule as a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::AtLeastOnce => "everything that was put in comes out, and nothing is left",
            Self::NotEarly => "what is not done yet is still at the server",
            Self::GivenBack => "what is given back comes again",
            Self::Dropped => "what nobody settled comes again",
            Self::Killed => "what a killed pipeline had comes to the next one",
            Self::Over => "what is rejected or left out does not come again",
            Self::Delay => "a delay is kept, and ends",
            Self::Order => "messages come in the order that is promised",
            Self::Group => "a group shares the work",
            Self::Drain => "a drain acknowledges everything that is done",
            Self::Stop => "what was not done when a pipeline was stopped comes to the next one",
            Self::StopInTime => "a stop ends in time",
            Self::Reconnect => "a server that was killed is found again",
            Self::Frozen => "a server that hangs is noticed, and found again",
            Self::Absent => "a server that is not there at the start is waited for",
            Self::Missing => "a place that does not exist is an error that names it",
            Self::Sizes => "empty and large payloads come through",
            Self::Headers => "headers come in",
            Self::Attempts => "each delivery counts one attempt more",
            Self::ConcurrentClose => "pipelines that are stopped at random moments lose nothing",
            Self::Cancel => "a call that is dropped at any await loses nothing",
            Self::Lease => "work that is longer than its lease stays with its worker",
            Self::Fenced => "an outcome that comes too late changes nothing",
            Self::Quiet => "while the server is gone, next to nothing is done",
            Self::Demand => "no more is received or claimed than was asked for",
        }
    }
}

// === impl SinkRule ===

impl SinkRule {
    /// All rules, the most basic ones first.
    pub const ALL: [Self; 14] = [
        Self::Stored,
        Self::Durable,
        Self::Workers,
        Self::Idempotent,
        Self::Refused,
        Self::Sizes,
        Self::Headers,
        Self::Reconnect,
        Self::Frozen,
        Self::Absent,
        Self::Missing,
        Self::StopInTime,
        Self::Cancel,
        Self::Quiet,
    ];

    /// The rule as a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Stored => "everything that is written is stored as it was",
            Self::Durable => "what is done outlives a server that is killed right after",
            Self::Workers => "several workers at once store everything",
            Self::Idempotent => "a message that comes again is stored once",
            Self::Refused => "one message that the system refuses fails alone",
            Self::Sizes => "empty and large payloads are stored, one too large fails alone",
            Self::Headers => "headers go out",
            Self::Reconnect => "a server that was killed is found again",
            Self::Frozen => "a server that hangs is waited for",
            Self::Absent => "a server that is not there at the start is waited for",
            Self::Missing => "a place that does not exist is an error that names it",
            Self::StopInTime => "a stop ends in time, and gives back what was not written",
            Self::Cancel => "a write that is dropped at any await can be made again",
            Self::Quiet => "while the server is gone, next to nothing is done",
        }
    }
}

// === impl BothRule ===

impl BothRule {
    /// All rules, the most basic ones first.
    pub const ALL: [Self; 3] = [Self::RoundTrip, Self::Trace, Self::Relay];

    /// The rule as a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::RoundTrip => "what the sink writes comes out of the source as it was",
            Self::Trace => "traces and attempts go on from one pipeline to the next",
            Self::Relay => "nothing is lost from place to place when the server is killed",
        }
    }
}

// === impl Rule ===

impl Rule {
    pub(super) fn broken(self, what: impl Into<String>) -> Broken {
        let what = what.into();
        Broken { rule: self, what }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (side, sentence) = match self {
            Self::Source(rule) => ("source", rule.sentence()),
            Self::Sink(rule) => ("sink", rule.sentence()),
            Self::Both(rule) => ("sink and source", rule.sentence()),
        };
        write!(f, "{side} ({sentence})")
    }
}

impl From<SourceRule> for Rule {
    fn from(rule: SourceRule) -> Self {
        Self::Source(rule)
    }
}

impl From<SinkRule> for Rule {
    fn from(rule: SinkRule) -> Self {
        Self::Sink(rule)
    }
}

impl From<BothRule> for Rule {
    fn from(rule: BothRule) -> Self {
        Self::Both(rule)
    }
}
