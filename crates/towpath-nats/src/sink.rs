//! Publishes to the streams of a server.

mod answer;
mod outgoing;

use std::{fmt, sync::Arc, time::Duration};

use towpath_connector::{OutOfPatience, Persistence};
use towpath_core::{Batch, BoxError, Failure, Peer, Reach, Sink, SinkPromise, Verdicts, Written};
use towpath_options::InvalidOptions;

use crate::{
    JetStreamSinkOptions, NatsError, NatsOptions, Publish,
    connection::{Connection, Live},
    headers,
    replies::{Question, Replies},
};
use answer::Answer;

/// How long a message stays away that was waited for in vain.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Publishes messages to the streams of a server, which confirm each.
///
/// A batch is published at once, and each message is done when its stream has confirmed it.
/// A message with an id is stored once, however often it comes within the duplicate window of
/// the stream; see [`deduplicate`](JetStreamSinkOptions::deduplicate).
///
/// While the server is away a batch waits, and so does the pipeline behind it. Clones share
/// the connection.
pub struct JetStreamSink {
    options: Arc<JetStreamSinkOptions>,
    connection: Arc<Connection>,
    reach: Reach,
    replies: Option<Replies>,
    /// Begins the ids of messages that have no identity.
    sender: String,
    /// How many batches were written.
    batches: u64,
}

/// Why a message cannot be published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unpublishable {
    /// Nothing can be published to its subject.
    #[error("{subject:?} is no subject to publish to")]
    NoSubject {
        /// The subject.
        subject: String,
    },
    /// A header cannot be sent.
    #[error("{reason}")]
    BadHeader {
        /// The header, and what is wrong with it.
        reason: String,
    },
    /// The server takes no message of this size.
    #[error(
        "{size} bytes with headers are more than the {limit} that the server takes (max_payload)"
    )]
    TooLarge {
        /// How large it is, headers included.
        size: usize,
        /// How large it may be.
        limit: usize,
    },
    /// No stream takes its subject.
    #[error("no stream takes the subject {subject:?}")]
    NoStream {
        /// The subject.
        subject: String,
    },
    /// The stream does not take it.
    #[error("the stream refused a message for {subject:?}: {reason}")]
    Refused {
        /// The subject.
        subject: String,
        /// What the stream said.
        reason: String,
    },
}

/// A batch on its way.
struct Sending {
    questions: Vec<Option<Question>>,
    /// Places of messages that no stream has confirmed yet.
    open: Vec<usize>,
    failed: Vec<(usize, Unpublishable)>,
}

/// What of a batch is still open after it was sent, and why.
#[derive(Default)]
struct Noted {
    not_now: Option<String>,
    unheard: Vec<usize>,
}

// === impl JetStreamSink ===

impl JetStreamSink {
    /// A sink with these options. Nothing is connected before the pipeline runs.
    ///
    /// # Errors
    /// Fails with everything that is wrong with the options.
    pub fn new(options: JetStreamSinkOptions) -> Result<Self, InvalidOptions> {
        options.validate()?;
        Ok(Self {
            connection: Arc::new(Connection::new(options.connection.clone())),
            options: Arc::new(options),
            reach: Reach::default(),
            replies: None,
            sender: new_sender(),
            batches: 0,
        })
    }

    /// A sink with the defaults, for a server.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn publish(connection: impl Into<NatsOptions>) -> Result<Self, InvalidOptions> {
        Self::new(JetStreamSinkOptions::new(connection))
    }

    fn prepare(&mut self, batch: &Batch<Publish>) -> Sending {
        self.batches += 1;
        let fallback = format!("{}-{}", self.sender, self.batches);
        let mut sending = Sending {
            questions: Vec::with_capacity(batch.len()),
            open: Vec::with_capacity(batch.len()),
            failed: Vec::new(),
        };
        for place in 0..batch.len() {
            let question = outgoing::question(batch, place, &self.options, &fallback);
            sending.add(place, question);
        }
        sending
    }

    /// Sends what is open, and notes what becomes of it.
    ///
    /// # Errors
    /// Fails when something is still open: the server is away, or does not take it now.
    async fn send(&mut self, sending: &mut Sending) -> Result<(), NatsError> {
        let live = self.connection.live().await?;
        sending.leave_out_too_large(live.client.max_payload());
        if sending.open.is_empty() {
            return Ok(());
        }
        let (answers, result) = self.ask(&live, sending).await;
        let answered = answers.iter().any(Option::is_some);
        if matches!(result, Err(NatsError::NoAnswer { .. })) && !answered {
            self.connection.leave(&live);
        }
        let noted = sending.note(answers);
        result?;
        sending.look_for_streams(&live, &noted.unheard).await?;
        match noted.not_now {
            Some(reason) => Err(live.refused("a message", &reason)),
            None => Ok(()),
        }
    }

    async fn ask(
        &mut self,
        live: &Live,
        sending: &Sending,
    ) -> (Vec<Option<Answer>>, Result<(), NatsError>) {
        let questions = sending.open_questions();
        let mut answers = vec![None; questions.len()];
        let replies = match self.replies.take().filter(|replies| replies.are_over(live)) {
            Some(replies) => replies,
            None => match Replies::open(live.clone()).await {
                Ok(replies) => replies,
                Err(error) => return (answers, Err(error)),
            },
        };
        let replies = self.replies.insert(replies);
        let patience = self.connection.answer_timeout();
        let asked = replies.ask(&questions, patience, |place, message| {
            answers[place] = answer::read(message);
            answers[place].is_some()
        });
        let result = asked.await;
        if result.is_err() {
            // What it holds of a connection that was lost goes with it.
            self.replies = None;
        }
        (answers, result)
    }
}

impl Sink<Publish> for JetStreamSink {
    async fn write(&mut self, batch: Batch<Publish>) -> Result<Written, BoxError> {
        let mut sending = self.prepare(&batch);
        let mut tries = Persistence::new(self.reach.clone(), self.options.patience);
        let gave_up = loop {
            let sending = async { Ok(self.send(&mut sending).await?) };
            match tries.attempt(sending).await {
                Ok(Some(())) => break None,
                Ok(None) => {}
                Err(error) => break Some(error),
            }
        };
        Ok(sending.verdicts(gave_up).into())
    }

    fn reads_origins(&self) -> bool {
        true
    }

    fn peer(&self) -> Peer {
        let peer = Peer::new("nats");
        match &self.options.stream {
            Some(stream) => peer.destination(stream.as_str()),
            None => peer,
        }
    }

    fn reach(&self) -> Option<Reach> {
        Some(self.reach.clone())
    }

    fn promise(&self) -> SinkPromise {
        // Ids of their own are the business of whoever makes the messages.
        if self.options.deduplicate {
            SinkPromise::Idempotent
        } else {
            SinkPromise::Plain
        }
    }
}

/// Shares the connection, and has answers of its own.
impl Clone for JetStreamSink {
    fn clone(&self) -> Self {
        Self {
            options: self.options.clone(),
            connection: self.connection.clone(),
            reach: self.reach.clone(),
            replies: None,
            sender: new_sender(),
            batches: 0,
        }
    }
}

impl fmt::Debug for JetStreamSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JetStreamSink")
            .field("connection", &self.connection)
            .field("stream", &self.options.stream)
            .finish_non_exhaustive()
    }
}

// === impl Sending ===

impl Sending {
    fn add(&mut self, place: usize, question: Result<Question, Unpublishable>) {
        match question {
            Ok(question) => {
                self.questions.push(Some(question));
                self.open.push(place);
            }
            Err(error) => {
                self.questions.push(None);
                self.failed.push((place, error));
            }
        }
    }

    fn open_questions(&self) -> Vec<Question> {
        let open = self.open.iter();
        open.filter_map(|place| self.questions[*place].clone())
            .collect()
    }

    fn subject(&self, place: usize) -> String {
        let question = self.questions[place].as_ref();
        question.map_or_else(String::new, |question| question.subject.to_string())
    }

    fn leave_out_too_large(&mut self, limit: usize) {
        let (questions, failed) = (&self.questions, &mut self.failed);
        self.open.retain(|place| {
            let size = questions[*place].as_ref().map_or(0, |question| {
                headers::wire_size(&question.headers) + question.payload.len()
            });
            if size > limit {
                failed.push((*place, Unpublishable::TooLarge { size, limit }));
            }
            size <= limit
        });
    }

    /// Notes the answers to what is open: what has one is no longer, unless it says *not now*.
    fn note(&mut self, answers: Vec<Option<Answer>>) -> Noted {
        let mut noted = Noted::default();
        let places = std::mem::take(&mut self.open);
        for (place, answer) in places.into_iter().zip(answers) {
            match answer {
                Some(Answer::Stored) => continue,
                Some(Answer::Refused(reason)) => {
                    let subject = self.subject(place);
                    self.failed
                        .push((place, Unpublishable::Refused { subject, reason }));
                    continue;
                }
                Some(Answer::NotNow(reason)) => noted.not_now = Some(reason),
                Some(Answer::NobodyListens) => noted.unheard.push(place),
                None => {}
            }
            self.open.push(place);
        }
        noted
    }

    /// Of what nobody listens to: fails for good where no stream takes its subject. Where one
    /// does, it is away for now.
    async fn look_for_streams(&mut self, live: &Live, unheard: &[usize]) -> Result<(), NatsError> {
        let mut known: Vec<(String, bool)> = Vec::new();
        for place in unheard {
            let subject = self.subject(*place);
            let found = known.iter().find(|(known, _)| *known == subject);
            let taken = match found {
                Some((_, taken)) => *taken,
                None => is_taken(live, &subject).await?,
            };
            if !taken {
                let subject = subject.clone();
                self.open.retain(|open| open != place);
                self.failed
                    .push((*place, Unpublishable::NoStream { subject }));
            }
            if found.is_none() {
                known.push((subject, taken));
            }
        }
        let away = known.into_iter().find(|(_, taken)| *taken);
        away.map_or(Ok(()), |(subject, _)| {
            let reason = "the stream that takes it does not listen now";
            Err(live.refused(format!("a message for {subject:?}"), reason))
        })
    }

    fn verdicts(self, gave_up: Option<OutOfPatience>) -> Verdicts {
        let mut verdicts = Verdicts::done();
        for (place, error) in self.failed {
            verdicts = verdicts.reject(place, error);
        }
        let Some(error) = gave_up else {
            return verdicts;
        };
        let said = match &error.source {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        };
        for place in self.open {
            let failure = Failure::retry(said.clone()).after(AGAIN_AFTER);
            verdicts = verdicts.fail(place, failure);
        }
        verdicts
    }
}

/// No two senders have the same, in whatever process.
fn new_sender() -> String {
    format!("{:032x}", fastrand::u128(..))
}

/// Whether a stream takes the subject.
async fn is_taken(live: &Live, subject: &str) -> Result<bool, NatsError> {
    #[derive(serde::Deserialize)]
    struct Names {
        #[serde(default)]
        streams: Option<Vec<String>>,
    }
    let asked = "STREAM.NAMES".to_owned();
    let query = serde_json::json!({ "subject": subject });
    let answer = live.ask::<_, Names>(asked.clone(), &query).await?;
    let names = answer.map_err(|error| live.refused(asked, &error.to_string()))?;
    Ok(names.streams.is_some_and(|streams| !streams.is_empty()))
}
