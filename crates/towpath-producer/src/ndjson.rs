//! Files of JSON, a value on each line.

use std::{num::NonZeroUsize, path::Path};

use serde::de::DeserializeOwned;
use towpath_core::{BoxError, Intake, Producer, Received, Unacknowledged};

use crate::{
    lines::{Line, LineError, Lines},
    open_file::FileProgress,
};

/// Hands out a file of JSON values line by line; gzip is recognised by its first bytes.
///
/// These are [`Lines`] without the blank ones, undecoded, so that a line that is no JSON
/// becomes a dead letter with its number and its text. Decode them with [`json_line`].
///
/// ```
/// use towpath_producer::{Line, NdJson, json_line};
///
/// #[derive(serde::Deserialize)]
/// struct Order { id: u64 }
///
/// let orders = NdJson::new("orders.ndjson");
/// let decoder = json_line::<Order>; // for `decode`
/// assert_eq!(decoder(&Line::new(1, r#"{ "id": 7 }"#)).unwrap().id, 7);
/// # let _ = orders;
/// ```
#[derive(Debug)]
#[must_use]
pub struct NdJson(Lines);

/// A line that is not the JSON expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JsonLineError {
    /// The line is no JSON, or not of the expected form.
    #[error("line {line} is not the JSON expected")]
    Json {
        /// The number of the line.
        line: u64,
        /// What is wrong, and in which column.
        source: serde_json::Error,
    },
    /// The line could not be read whole.
    #[error(transparent)]
    Line(#[from] LineError),
}

/// Decodes a line of JSON.
///
/// # Errors
/// Fails for a line that is no JSON, that is not of the form of `T`, or that was cut.
pub fn json_line<T: DeserializeOwned>(line: &Line) -> Result<T, JsonLineError> {
    serde_json::from_slice(line.bytes()?).map_err(|source| JsonLineError::Json {
        line: line.number(),
        source,
    })
}

impl NdJson {
    /// The values of the file at `path`, which is opened when the pipeline starts.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self(Lines::new(path).skip_blank())
    }

    /// Cuts lines at `bytes`; 1 MiB unless said otherwise. A cut line is not decoded.
    pub fn max_line(self, bytes: NonZeroUsize) -> Self {
        Self(self.0.max_line(bytes))
    }

    /// How far the file has been read.
    pub fn progress(&self) -> FileProgress {
        self.0.progress()
    }
}

impl Producer for NdJson {
    type Payload = Line;
    type Acknowledger = Unacknowledged;

    async fn open(&mut self) -> Result<(), BoxError> {
        self.0.open().await
    }

    async fn receive(&mut self, intake: &mut Intake<Line, ()>) -> Result<Received, BoxError> {
        self.0.receive(intake).await
    }
}

#[cfg(test)]
mod tests;
