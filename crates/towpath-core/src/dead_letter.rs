//! What the dead-letter route receives.

use std::{any::Any, fmt, sync::Arc};

use crate::{Cause, Headers, Origin, Originals, StageName};

/// A message that was rejected, with everything needed to understand and repeat it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The pipeline that rejected the message.
    pub pipeline: StageName,
    /// The stage and the error, with its chain.
    pub cause: Cause,
    /// Where the message came from: identity, position, attempts, headers.
    pub origin: Origin,
    /// The payload as it left its source, where the source keeps it.
    pub original: Option<Original>,
    /// The headers of its trace, where the message was traced: whoever repeats it goes on
    /// with the trace by them.
    pub trace: Headers,
}

/// A payload as it left its source.
#[derive(Clone)]
pub struct Original {
    value: Arc<dyn Any + Send + Sync>,
    render: fn(&(dyn Any + Send + Sync)) -> serde_json::Value,
}

impl DeadLetter {
    /// A letter about a message that was rejected in `pipeline`.
    pub fn new(pipeline: StageName, cause: Cause, origin: Origin) -> Self {
        Self {
            pipeline,
            cause,
            origin,
            original: None,
            trace: Headers::default(),
        }
    }

    /// With the headers of its trace.
    #[must_use]
    pub fn traced(mut self, trace: Headers) -> Self {
        self.trace = trace;
        self
    }

    /// With the payload as it left its source.
    #[must_use]
    pub fn with_original(mut self, original: Option<Original>) -> Self {
        self.original = original;
        self
    }
}

/// One line of JSON: what a file of dead letters holds.
impl serde::Serialize for DeadLetter {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut letter = serializer.serialize_struct("DeadLetter", 8)?;
        letter.serialize_field("pipeline", &self.pipeline)?;
        letter.serialize_field("stage", self.cause.stage())?;
        letter.serialize_field("cause", &self.cause.chain())?;
        letter.serialize_field("attempts", &self.origin.attempt)?;
        letter.serialize_field("position", &self.origin.position)?;
        letter.serialize_field("identity", &self.origin.identity)?;
        letter.serialize_field("original", &self.original.as_ref().map(Original::to_json))?;
        if self.trace.is_empty() {
            letter.skip_field("trace")?;
        } else {
            letter.serialize_field("trace", &self.trace)?;
        }
        letter.end()
    }
}

impl Original {
    /// Keeps a payload that can be shown as JSON.
    pub fn new<P: serde::Serialize + Send + Sync + 'static>(payload: P) -> Self {
        Self {
            value: Arc::new(payload),
            render: render::<P>,
        }
    }

    /// The payload, if it is of type `P`.
    pub fn downcast_ref<P: 'static>(&self) -> Option<&P> {
        self.value.downcast_ref()
    }

    /// The payload as JSON; what cannot be shown says so in a string.
    pub fn to_json(&self) -> serde_json::Value {
        (self.render)(&*self.value)
    }
}

fn render<P: serde::Serialize + 'static>(value: &(dyn Any + Send + Sync)) -> serde_json::Value {
    let payload = value.downcast_ref::<P>();
    serde_json::to_value(payload).unwrap_or_else(|error| format!("not shown: {error}").into())
}

impl fmt::Debug for Original {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Original({})", self.to_json())
    }
}

/// The payloads of one chunk, cloned before they left.
impl<P> Originals for Vec<P>
where
    P: Clone + serde::Serialize + Send + Sync + 'static,
{
    fn get(&self, index: u32) -> Option<Original> {
        <[P]>::get(self, index as usize).cloned().map(Original::new)
    }
}
