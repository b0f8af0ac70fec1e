//! W3C Trace Context in the headers of messages: `traceparent` and `tracestate`.
//!
//! As the specification has it, level 2, but that names are compared as they are: in lower
//! case. Systems whose headers know case carry them so.

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use towpath_core::Headers;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// Whose span a message was sent in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parent {
    trace: TraceId,
    span: SpanId,
    flags: TraceFlags,
}

/// What the `traceparent` says, without the rest; `None` where there is none that is valid.
pub(super) fn parent(headers: &Headers) -> Option<Parent> {
    Parent::parse(headers.get(TRACEPARENT)?)
}

/// The headers that carry a context on.
pub(super) fn write(context: &SpanContext) -> Headers {
    if !context.is_valid() {
        return Headers::default();
    }
    let (trace, span) = (context.trace_id(), context.span_id());
    let flags = context.trace_flags() & TraceFlags::SAMPLED;
    let parent = format!("00-{trace}-{span}-{flags:02x}");
    let state = context.trace_state().header();
    let state = (!state.is_empty()).then_some((TRACESTATE, state));
    [(TRACEPARENT, parent)].into_iter().chain(state).collect()
}

// === impl Parent ===

impl Parent {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim_matches([' ', '\t']).as_bytes();
        let (known, more) = text.split_at_checked(55)?;
        let dashes = [2, 35, 52].iter().all(|&place| known[place] == b'-');
        let version = hex(&known[..2])?;
        // Later versions may say more, behind another dash; ours may not.
        let ends = more.is_empty() || (version > 0 && more[0] == b'-');
        if !dashes || version == 0xff || !ends {
            return None;
        }
        let (high, low) = (hex(&known[3..19])?, hex(&known[19..35])?);
        let flags = u8::try_from(hex(&known[53..])?).ok()?;
        let parent = Self {
            trace: TraceId::from(u128::from(high) << 64 | u128::from(low)),
            span: SpanId::from(hex(&known[36..52])?),
            flags: TraceFlags::new(flags) & TraceFlags::SAMPLED,
        };
        let valid = parent.trace != TraceId::INVALID && parent.span != SpanId::INVALID;
        valid.then_some(parent)
    }

    /// Whether the sender traces the message.
    pub(super) fn is_sampled(self) -> bool {
        self.flags.is_sampled()
    }

    /// The context of the sender, with the `tracestate` among the headers.
    pub(super) fn context(self, headers: &Headers) -> SpanContext {
        let state = state(headers).unwrap_or_default();
        SpanContext::new(self.trace, self.span, self.flags, true, state)
    }
}

/// Several headers of that name are one list; one that is not valid is none.
fn state(headers: &Headers) -> Option<TraceState> {
    let lists: Vec<_> = headers
        .iter()
        .filter(|(name, _)| *name == TRACESTATE)
        .map(|(_, list)| list)
        .collect();
    lists.join(",").parse().ok()
}

/// What a byte is worth as a digit, in lower case only; 16 for what is none.
const WORTH: [u8; 256] = {
    let mut worth = [16; 256];
    let mut digit = 0;
    while digit < 16 {
        worth[b"0123456789abcdef"[digit as usize] as usize] = digit;
        digit += 1;
    }
    worth
};

/// A number of 16 digits at most.
fn hex(digits: &[u8]) -> Option<u64> {
    // No early way out: what is read is well-formed, but for a rare exception.
    let (number, all) = digits.iter().fold((0, 0), |(number, all), digit| {
        let worth = WORTH[usize::from(*digit)];
        (number << 4 | u64::from(worth), all | worth)
    });
    (all < 16).then_some(number)
}

#[cfg(test)]
mod tests;
