//! How a trace goes on from one process to the next, in the headers of messages.

use opentelemetry::{
    Context,
    propagation::{Extractor, Injector, TextMapPropagator},
    trace::TraceContextExt,
};
use towpath_core::Headers;

use super::w3c;

/// What reads and writes the headers.
#[derive(Debug)]
pub(super) enum Propagation {
    /// `traceparent` and `tracestate`.
    W3c,
    /// What the user brought along, and the headers it reads.
    Other {
        propagator: Box<dyn TextMapPropagator + Send + Sync>,
        fields: Vec<String>,
    },
}

/// What the sender of a message has decided.
#[derive(Debug)]
pub(super) enum Incoming {
    /// Nothing.
    Undecided,
    /// That it is not traced.
    Refused,
    /// That it is traced, as part of this.
    Chosen(Context),
}

// === impl Propagation ===

impl Propagation {
    pub(super) fn by(propagator: impl TextMapPropagator + Send + Sync + 'static) -> Self {
        let fields = propagator.fields().map(str::to_owned).collect();
        let propagator = Box::new(propagator);
        Self::Other { propagator, fields }
    }

    /// What the sender has decided. Allocates nothing unless the message is traced.
    pub(super) fn incoming(&self, headers: &Headers) -> Incoming {
        match self {
            Self::W3c => match w3c::parent(headers) {
                None => Incoming::Undecided,
                Some(parent) if !parent.is_sampled() => Incoming::Refused,
                Some(parent) => Incoming::Chosen(
                    Context::new().with_remote_span_context(parent.context(headers)),
                ),
            },
            Self::Other { .. } => Incoming::of(self.extract(headers)),
        }
    }

    /// All that the headers say, for a message about which nothing is decided.
    pub(super) fn extract(&self, headers: &Headers) -> Context {
        let Self::Other { propagator, fields } = self else {
            return Context::new();
        };
        let mut names = headers.iter().map(|(name, _)| name);
        if !names.any(|name| fields.iter().any(|field| field == name)) {
            return Context::new();
        }
        propagator.extract_with_context(&Context::new(), &Carrier(headers))
    }

    /// The headers that carry the context on; those without a value are left out.
    pub(super) fn inject(&self, context: &Context) -> Headers {
        let Self::Other { propagator, .. } = self else {
            return w3c::write(context.span().span_context());
        };
        let mut written = Written(Vec::new());
        propagator.inject_context(context, &mut written);
        written.0.into_iter().collect()
    }
}

// === impl Incoming ===

impl Incoming {
    fn of(context: Context) -> Self {
        let (valid, sampled) = {
            let span = context.span();
            let context = span.span_context();
            (context.is_valid(), context.is_sampled())
        };
        match (valid, sampled) {
            (false, _) => Self::Undecided,
            (true, false) => Self::Refused,
            (true, true) => Self::Chosen(context),
        }
    }
}

struct Carrier<'a>(&'a Headers);

impl Extractor for Carrier<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name).collect()
    }
}

struct Written(Vec<(String, String)>);

impl Injector for Written {
    fn set(&mut self, key: &str, value: String) {
        self.0.retain(|(name, _)| name != key);
        if !value.is_empty() {
            self.0.push((key.to_owned(), value));
        }
    }
}
