//! A connection that was made, until it is lost.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use async_nats::{
    Client,
    connection::State,
    jetstream::{self, Context, context::RequestErrorKind, response::Response},
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::watch;

use super::setup::Watched;
use crate::{NatsError, NatsOptions};

/// A connection that was made. It does not come back once it was lost.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) client: Client,
    pub(crate) jetstream: Context,
    /// What requests to JetStream begin with.
    pub(crate) api: Arc<str>,
    lost: watch::Receiver<bool>,
    complaint: Arc<Mutex<Option<String>>>,
    shown: Arc<str>,
    answer_timeout: Duration,
    number: u64,
}

/// What JetStream answered: what was asked for, or why not.
pub(crate) type Answer<T> = Result<T, jetstream::Error>;

impl Live {
    pub(super) fn new(
        client: Client,
        watched: Watched,
        options: &NatsOptions,
        shown: String,
    ) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let (jetstream, api) = match &options.domain {
            Some(domain) => {
                let api = format!("$JS.{domain}.API").into();
                (jetstream::with_domain(client.clone(), domain), api)
            }
            None => (jetstream::new(client.clone()), "$JS.API".into()),
        };
        Self {
            client,
            jetstream,
            api,
            lost: watched.lost,
            complaint: watched.complaint,
            shown: shown.into(),
            answer_timeout: options.answer_timeout,
            number: NUMBER.fetch_add(1, Relaxed),
        }
    }

    /// Whether nothing is known against it.
    pub(crate) fn is_up(&self) -> bool {
        !*self.lost.borrow() && self.client.connection_state() == State::Connected
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.number == other.number
    }

    /// Waits until the connection is lost.
    pub(crate) async fn lost(&self) {
        let mut lost = self.lost.clone();
        // An error means that the client has ended: lost too.
        let _is_lost = lost.wait_for(|lost| *lost).await;
    }

    /// Asks JetStream.
    pub(crate) async fn ask<Q, A>(&self, subject: String, q: &Q) -> Result<Answer<A>, NatsError>
    where
        Q: Serialize,
        A: DeserializeOwned,
    {
        let asking = self.jetstream.request(subject.clone(), q);
        let response = tokio::select! {
            response = asking => response,
            () = self.lost() => return Err(self.is_lost()),
        };
        match response {
            Ok(Response::Ok(answer)) => Ok(Ok(answer)),
            Ok(Response::Err { error }) => Ok(Err(error)),
            Err(error) => Err(match error.kind() {
                RequestErrorKind::TimedOut => self.no_answer(subject, self.answer_timeout),
                RequestErrorKind::NoResponders => {
                    self.refused(subject, "JetStream is not enabled there")
                }
                _ => self.refused(subject, &error.to_string()),
            }),
        }
    }

    pub(crate) fn is_lost(&self) -> NatsError {
        NatsError::Lost {
            servers: self.shown.to_string(),
        }
    }

    pub(crate) fn refused(&self, asked: impl Into<String>, reason: &str) -> NatsError {
        NatsError::Refused {
            servers: self.shown.to_string(),
            asked: asked.into(),
            reason: reason.to_owned(),
        }
    }

    pub(crate) fn no_answer(&self, asked: impl Into<String>, within: Duration) -> NatsError {
        let complaint = self.complaint.lock();
        let complaint = complaint.unwrap_or_else(PoisonError::into_inner);
        let hint = complaint.as_ref().map(|said| format!("; it said {said:?}"));
        NatsError::NoAnswer {
            servers: self.shown.to_string(),
            asked: asked.into(),
            within,
            hint: hint.unwrap_or_default(),
        }
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live")
            .field("servers", &self.shown)
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}
