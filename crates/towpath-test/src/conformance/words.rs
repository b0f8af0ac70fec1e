//! The headers that the suite sends.

/// The attempts that a message has had, as it goes from one system to the next.
pub(super) const ATTEMPT: &str = "towpath-attempt";
/// The trace that a message belongs to.
pub(super) const TRACEPARENT: &str = "traceparent";
/// A trace that somebody else has begun.
pub(super) const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// The identity of that trace.
pub(super) const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Names and values as users have them, and those of the framework.
pub(super) const HEADERS: [(&str, &str); 4] = [
    ("tenant", "blue whale"),
    ("note", "a:b=c; d, \"e\""),
    (TRACEPARENT, TRACE),
    (ATTEMPT, "3"),
];
