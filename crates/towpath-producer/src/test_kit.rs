//! What the tests of all sources need: an engine in small, that can be cut short.

use futures_util::FutureExt as _;
use towpath_core::{
    Acknowledger, BoxError, Intake, Origin, Outcome, Producer, Received, Settled, Token,
};

/// One message, as an engine would have it.
pub(crate) struct Taken<P: Producer> {
    pub(crate) payload: P::Payload,
    pub(crate) token: Token<P>,
    pub(crate) origin: Origin,
}

/// Asks a source for messages as the engine does, and keeps what it pushes over calls that are cut short.
pub(crate) struct Engine<P: Producer> {
    pub(crate) source: P,
    intake: Intake<P::Payload, Token<P>>,
}

impl<P: Producer> Engine<P> {
    pub(crate) fn new(source: P) -> Self {
        Self {
            source,
            intake: Intake::new(),
        }
    }

    /// Receives up to `room` messages more.
    pub(crate) async fn receive(&mut self, room: usize) -> Result<Received, BoxError> {
        self.intake.ask(room.saturating_add(self.intake.len()));
        self.source.receive(&mut self.intake).await
    }

    /// Polls one receive once and drops it, as a stage does that is stopped or woken.
    pub(crate) fn cut_short(&mut self, room: usize) -> Option<Result<Received, BoxError>> {
        self.intake.ask(room.saturating_add(self.intake.len()));
        self.source.receive(&mut self.intake).now_or_never()
    }

    pub(crate) async fn drain(&mut self, room: usize) -> Result<(), BoxError> {
        self.intake.ask(room.saturating_add(self.intake.len()));
        self.source.drain(&mut self.intake).await
    }

    /// What was pushed so far.
    pub(crate) fn taken(&mut self) -> Vec<Taken<P>> {
        let (payloads, tokens, origins) = self.intake.take(usize::MAX);
        let origins = origins
            .into_iter()
            .chain(std::iter::repeat_with(Origin::default));
        let all = payloads.zip(tokens).zip(origins);
        let taken = |((payload, token), origin)| Taken {
            payload,
            token,
            origin,
        };
        all.map(taken).collect()
    }

    pub(crate) fn payloads(&mut self) -> Vec<P::Payload> {
        self.taken().into_iter().map(|t| t.payload).collect()
    }

    /// Receives `room` at a time until the source ends.
    pub(crate) async fn all(&mut self, room: usize) -> Vec<P::Payload> {
        let mut all = Vec::new();
        loop {
            let received = self.receive(room).await.expect("the source goes on");
            assert!(
                self.intake.len() <= room,
                "the source pushed beyond the room"
            );
            all.extend(self.payloads());
            if received == Received::End {
                return all;
            }
        }
    }
}

/// Tells `acknowledger` the outcome of some messages.
pub(crate) async fn settle<A: Acknowledger>(
    acknowledger: &mut A,
    outcomes: impl IntoIterator<Item = (A::Token, Outcome)>,
) -> Settled {
    let mut run = outcomes.into_iter().collect();
    let settled = acknowledger.settle(&mut run).await;
    assert!(run.is_empty(), "{} outcomes were left", run.len());
    settled.expect("the source takes outcomes")
}

/// An error and its causes, as a report shows them.
#[cfg(feature = "files")]
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}

/// A file that is gone when this is dropped.
#[cfg(feature = "files")]
pub(crate) fn file(bytes: impl AsRef<[u8]>) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    file
}

/// `bytes`, compressed.
#[cfg(feature = "files")]
pub(crate) fn gzip(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    use std::io::Write as _;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(bytes.as_ref()).unwrap();
    gzip.finish().unwrap()
}

/// Compressed bytes that end in the middle.
#[cfg(feature = "files")]
pub(crate) fn truncated_gzip(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut whole = gzip(bytes);
    whole.truncate(whole.len() / 2);
    whole
}

/// Receives until the source fails, and says with what, and what came before.
#[cfg(feature = "files")]
pub(crate) async fn until_it_fails<P: Producer>(
    engine: &mut Engine<P>,
) -> (Vec<P::Payload>, BoxError) {
    let mut all = Vec::new();
    loop {
        let received = engine.receive(64).await;
        all.extend(engine.payloads());
        match received {
            Ok(Received::More) => {}
            Ok(Received::End) => panic!("the source ended"),
            Err(error) => return (all, error),
        }
    }
}
