//! A pipeline over the source under test whose messages are settled by hand.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::timeout;
use towpath::{Delivered, Flow, Message, Origin, Outcome, Report};

use super::{
    Parcel, SourceRig,
    stand::{PATIENCE, Stand, chain},
    suite::Verdict,
    team::Team,
};

/// A pipeline that ends in a stream.
pub(super) struct Reader {
    team: Team,
    stream: Delivered<Parcel>,
}

/// A message in the hand of the rule.
pub(super) struct InHand {
    pub(super) origin: Origin,
    message: Message<Parcel>,
}

impl<R: SourceRig> Stand<R> {
    /// Starts a pipeline whose messages are settled by hand.
    pub(super) async fn reader(&self, place: &str, member: usize) -> Verdict<Reader> {
        let (source, watch, _) = self.source(place, member);
        let (pipeline, stream) = Flow::from(source)
            .map(|payload| R::parcel(&payload))
            .into_stream();
        let started = self.within(PATIENCE, "the start of a pipeline", pipeline.start());
        let running = started.await?;
        let running = running.map_err(|error| {
            self.broken(format!("the pipeline does not start: {}", chain(&error)))
        })?;
        let team = Team { running, watch };
        Ok(Reader { team, stream })
    }

    /// The next message, which has to come.
    pub(super) async fn next(&self, reader: &mut Reader, within: Duration) -> Verdict<InHand> {
        let next = reader.next(within).await;
        next.ok_or_else(|| {
            let error = reader.team.source().error;
            let error = error.map_or(String::new(), |error| format!(" (the source: {error})"));
            self.broken(format!("no message has come within {within:?}{error}"))
        })
    }

    /// The next messages, which have to come.
    pub(super) async fn take(&self, reader: &mut Reader, count: usize) -> Verdict<Vec<InHand>> {
        let mut taken = Vec::new();
        while taken.len() < count {
            let next = self.next(reader, PATIENCE).await;
            taken.push(next.map_err(|broken| {
                let got = taken.len();
                self.broken(format!(
                    "{got} of {count} have come, and then: {}",
                    broken.what
                ))
            })?);
        }
        Ok(taken)
    }

    /// Nothing comes for a while.
    pub(super) async fn nothing_comes(
        &self,
        reader: &mut Reader,
        within: Duration,
        why: &str,
    ) -> Verdict {
        match reader.next(within).await {
            None => Ok(()),
            Some(came) => Err(self.broken(format!("{why}, but {:?} comes", came.parcel()))),
        }
    }

    /// Drains the pipeline and checks its books.
    pub(super) async fn closed(&self, reader: Reader) -> Verdict<Report> {
        let Reader { team, stream } = reader;
        team.handle().drain_within(PATIENCE / 2);
        drop(stream);
        self.drained(team).await
    }
}

// === impl Reader ===

impl Reader {
    /// The next message, if one comes within a time.
    pub(super) async fn next(&mut self, within: Duration) -> Option<InHand> {
        let message = timeout(within, self.stream.next()).await.ok()??;
        let origin = message.origin();
        Some(InHand { origin, message })
    }

    /// Ends the pipeline as a crash of its process would.
    pub(super) fn crash(self) {
        self.team.crash();
    }
}

// === impl InHand ===

impl InHand {
    pub(super) fn parcel(&self) -> &Parcel {
        self.message.payload()
    }

    pub(super) fn number(&self) -> Option<usize> {
        self.parcel().number()
    }

    pub(super) fn done(self) {
        self.settle(Outcome::Done);
    }

    pub(super) fn retry(self, after: Duration) {
        self.settle(Outcome::retry_after(after));
    }

    fn settle(self, outcome: Outcome) {
        self.message.into_parts().1.settle(outcome);
    }
}
