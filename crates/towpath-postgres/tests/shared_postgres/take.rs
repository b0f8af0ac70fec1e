//! A source in the hands of a test.

use tokio::time::timeout;
use towpath::{
    Origin, Outcome,
    core::{Acknowledger as _, Intake, Producer as _, Settled},
};
use towpath_postgres::{PostgresAcknowledger, PostgresMessage, PostgresSource, PostgresToken};

use crate::place::PATIENCE;

pub(crate) type Came = (PostgresMessage, PostgresToken, Origin);

/// Receives until there is something: up to `room` messages.
pub(crate) async fn take(source: &mut PostgresSource, room: usize) -> Vec<Came> {
    let mut intake = Intake::new();
    intake.ask(room);
    while intake.is_empty() {
        let received = timeout(PATIENCE, source.receive(&mut intake)).await;
        let _more = received.expect("something comes").unwrap();
    }
    let count = intake.len();
    let (payloads, tokens, origins) = intake.take(count);
    let came = payloads.zip(tokens).zip(origins);
    came.map(|((job, token), origin)| (job, token, origin))
        .collect()
}

/// What messages hold, as texts.
pub(crate) fn taken(came: &[Came]) -> Vec<String> {
    let texts = came
        .iter()
        .map(|(job, ..)| String::from_utf8_lossy(&job.payload).into_owned());
    texts.collect()
}

/// Tells one outcome for all of them.
pub(crate) async fn settle(
    acknowledger: &mut PostgresAcknowledger,
    came: Vec<Came>,
    outcome: &Outcome,
) -> Settled {
    let mut run: Vec<_> = came
        .into_iter()
        .map(|(_, token, _)| (token, outcome.clone()))
        .collect();
    let settled = acknowledger.settle(&mut run).await.unwrap();
    assert!(run.is_empty());
    settled
}
