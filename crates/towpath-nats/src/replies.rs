//! Questions to the server and its answers: many at once, over one subscription.
//!
//! The client's own requests keep a place for each answer until it comes, for ever where it
//! does not, and its confirmed acknowledgements make a subscription each. Here answers have
//! numbers, and those that nobody waits for any more are passed over.

use std::time::Duration;

use async_nats::{HeaderMap, Message, Subject, Subscriber};
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::time::timeout;

use crate::{NatsError, connection::Live};

/// How many questions wait for their answers at once.
pub(crate) const WINDOW: usize = 256;

/// What is sent to the server, for it to answer.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) subject: Subject,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
}

/// The answers to what was asked over one connection.
#[derive(Debug)]
pub(crate) struct Replies {
    live: Live,
    /// Answers come to `inbox.0`, `inbox.1` and so on.
    inbox: String,
    subscriber: Subscriber,
    next: u64,
}

impl Replies {
    pub(crate) async fn open(live: Live) -> Result<Self, NatsError> {
        let inbox = live.client.new_inbox();
        let subscriber = live.client.subscribe(format!("{inbox}.*")).await;
        let Ok(subscriber) = subscriber else {
            return Err(live.is_lost());
        };
        Ok(Self {
            live,
            inbox,
            subscriber,
            next: 0,
        })
    }

    /// Whether the answers come over this connection.
    pub(crate) fn are_over(&self, live: &Live) -> bool {
        self.live.is_same(live)
    }

    /// Whether they come over a connection of which nothing is known against it.
    pub(crate) fn are_up(&self) -> bool {
        self.live.is_up()
    }

    /// Asks, and tells `answered` each answer with the place of its question; it says whether
    /// that was the answer, as somebody else may have written to the same inbox.
    ///
    /// # Errors
    /// Fails when the connection is lost, and when nothing comes for as long as `patience`.
    /// What was answered before was told.
    ///
    /// # Cancel safety
    /// Cancel safe: answers that come later are passed over.
    pub(crate) async fn ask(
        &mut self,
        questions: &[Question],
        patience: Duration,
        mut answered: impl FnMut(usize, &Message) -> bool,
    ) -> Result<(), NatsError> {
        let first = self.next;
        self.next += questions.len() as u64;
        let (mut sent, mut open) = (0, 0);
        let mut is_answered = vec![false; questions.len()];
        loop {
            while open < WINDOW && sent < questions.len() {
                let number = first + sent as u64;
                self.send(&questions[sent], number, patience).await?;
                sent += 1;
                open += 1;
            }
            if open == 0 {
                return Ok(());
            }
            let answer = self.next_answer(&questions[0], patience).await?;
            let place = self.number_of(&answer).and_then(|n| n.checked_sub(first));
            let place = place.and_then(|place| usize::try_from(place).ok());
            let Some(place) = place.filter(|place| *place < sent && !is_answered[*place]) else {
                continue;
            };
            if answered(place, &answer) {
                is_answered[place] = true;
                open -= 1;
            }
        }
    }

    async fn send(&self, q: &Question, number: u64, patience: Duration) -> Result<(), NatsError> {
        let client = &self.live.client;
        let (subject, payload) = (q.subject.clone(), q.payload.clone());
        let reply = format!("{}.{number}", self.inbox);
        let sending = async {
            if q.headers.is_empty() {
                client.publish_with_reply(subject, reply, payload).await
            } else {
                let headers = q.headers.clone();
                client
                    .publish_with_reply_and_headers(subject, reply, headers, payload)
                    .await
            }
        };
        match timeout(patience, sending).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(self.live.is_lost()),
            Err(_) => Err(self.live.no_answer(q.subject.as_str(), patience)),
        }
    }

    async fn next_answer(
        &mut self,
        q: &Question,
        patience: Duration,
    ) -> Result<Message, NatsError> {
        // What is there already needs no timer.
        if let Some(Some(answer)) = self.subscriber.next().now_or_never() {
            return Ok(answer);
        }
        let answer = tokio::select! {
            answer = timeout(patience, self.subscriber.next()) => answer,
            () = self.live.lost() => return Err(self.live.is_lost()),
        };
        match answer {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(self.live.is_lost()),
            Err(_) => Err(self.live.no_answer(q.subject.as_str(), patience)),
        }
    }

    fn number_of(&self, answer: &Message) -> Option<u64> {
        let number = answer.subject.strip_prefix(self.inbox.as_str())?;
        number.strip_prefix('.')?.parse().ok()
    }
}
