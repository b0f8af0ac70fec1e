//! Tells the server the outcomes, and that work goes on.

use std::{sync::Arc, time::Duration};

use async_nats::{HeaderMap, StatusCode, jetstream::AckKind};
use tokio::time::{Instant, timeout};
use towpath_connector::Leases;
use towpath_core::{Acknowledger, BoxError, Outcome, Settled};

use super::token::{JetStreamToken, Lent};
use crate::{
    JetStreamSourceOptions, NatsError,
    connection::{Connection, Live},
    replies::{Question, Replies},
};

/// Tells the server the outcomes of its messages.
#[derive(Debug)]
pub struct JetStreamAcknowledger {
    connection: Arc<Connection>,
    leases: Leases<Lent>,
    replies: Option<Replies>,
    confirm: bool,
    ack_wait: Duration,
    /// Told before a call failed, and not counted yet.
    counted: Settled,
}

impl JetStreamAcknowledger {
    pub(super) fn new(
        options: &JetStreamSourceOptions,
        connection: Arc<Connection>,
        leases: Leases<Lent>,
    ) -> Self {
        Self {
            connection,
            leases,
            replies: None,
            confirm: options.confirm,
            ack_wait: options.ack_wait,
            counted: Settled::default(),
        }
    }

    /// Takes out of the run what is too late, and makes of the rest what is to be told.
    ///
    /// Of what has run out the server may have made another delivery by now, and would take
    /// anything said here for the outcome of that one.
    fn plan(&mut self, run: &mut Vec<(JetStreamToken, Outcome)>) -> Vec<Question> {
        let before = run.len();
        run.retain(|(token, _)| !token.0.key().has_run_out());
        self.counted = self.counted.and(Settled::stale(before - run.len()));
        let told = run.iter();
        told.map(|(token, outcome)| question(token.0.key(), kind(outcome)))
            .collect()
    }

    /// Tells and waits for the confirmations; says which of them came.
    async fn confirm(
        &mut self,
        live: &Live,
        questions: &[Question],
        confirmed: &mut [bool],
    ) -> Result<(), NatsError> {
        let patience = self.connection.answer_timeout();
        let replies = match self.replies.take().filter(|replies| replies.are_over(live)) {
            Some(replies) => replies,
            None => Replies::open(live.clone()).await?,
        };
        let replies = self.replies.insert(replies);
        let mut unheard = false;
        let asked = replies.ask(questions, patience, |place, answer| {
            let heard = answer.status != Some(StatusCode::NO_RESPONDERS);
            confirmed[place] = heard;
            unheard |= !heard;
            true
        });
        if let Err(error) = asked.await {
            // What it holds of a connection that was lost goes with it.
            self.replies = None;
            return Err(error);
        }
        if unheard {
            let reason = "nobody listens: the consumer is gone, or has no leader now";
            return Err(live.refused("an outcome", reason));
        }
        Ok(())
    }

    /// Tells, and waits until it is written to the connection.
    async fn send(&self, live: &Live, questions: &[Question]) -> Result<(), NatsError> {
        let patience = self.connection.answer_timeout();
        let sending = async {
            for question in questions {
                let (subject, payload) = (question.subject.clone(), question.payload.clone());
                let sent = live.client.publish(subject, payload).await;
                sent.map_err(|_| live.is_lost())?;
            }
            live.client.flush().await.map_err(|_| live.is_lost())
        };
        let sent = timeout(patience, sending).await;
        sent.unwrap_or_else(|_| Err(live.no_answer("to outcomes", patience)))
    }

    async fn tell(&mut self, questions: &[Question], told: &mut [bool]) -> Result<(), NatsError> {
        let patience = self.connection.answer_timeout();
        let live = self.connection.live_within(patience).await?;
        if self.confirm {
            return self.confirm(&live, questions, told).await;
        }
        self.send(&live, questions).await?;
        told.fill(true);
        Ok(())
    }

    fn count(&mut self, told: &[bool]) {
        let told = told.iter().filter(|told| **told).count();
        let told = if self.confirm {
            Settled::confirmed(told)
        } else {
            Settled::sent(told)
        };
        self.counted = self.counted.and(told);
    }
}

fn kind(outcome: &Outcome) -> AckKind {
    match outcome {
        Outcome::Retry { after, .. } => AckKind::Nak(Some(*after).filter(|d| !d.is_zero())),
        Outcome::Reject(_) => AckKind::Term,
        _ => AckKind::Ack,
    }
}

fn question(lent: &Lent, kind: AckKind) -> Question {
    Question {
        subject: lent.reply().clone(),
        headers: HeaderMap::new(),
        payload: kind.into(),
    }
}

impl Acknowledger for JetStreamAcknowledger {
    type Token = JetStreamToken;

    async fn settle(
        &mut self,
        run: &mut Vec<(JetStreamToken, Outcome)>,
    ) -> Result<Settled, BoxError> {
        let questions = self.plan(run);
        if !questions.is_empty() {
            let mut told = vec![false; questions.len()];
            let result = self.tell(&questions, &mut told).await;
            self.count(&told);
            let mut places = told.iter();
            run.retain(|_| !places.next().copied().unwrap_or(false));
            result?;
        }
        Ok(std::mem::take(&mut self.counted))
    }

    fn extend_every(&self) -> Option<Duration> {
        Some(self.ack_wait / 3)
    }

    async fn extend(&mut self) -> Result<(), BoxError> {
        // Looked at here also while there are no outcomes: what is lost is given up.
        self.replies.take_if(|replies| !replies.are_up());
        let mut due = self.leases.due();
        due.retain(|lent| !lent.has_run_out());
        if due.is_empty() {
            return Ok(());
        }
        let questions: Vec<_> = due
            .iter()
            .map(|lent| question(lent, AckKind::Progress))
            .collect();
        let mut heard = vec![false; questions.len()];
        let live = self.connection.live().await?;
        let asked_at = Instant::now();
        let result = self.confirm(&live, &questions, &mut heard).await;
        for (lent, _) in due.iter().zip(&heard).filter(|(_, heard)| **heard) {
            lent.extended(asked_at);
        }
        Ok(result?)
    }
}
