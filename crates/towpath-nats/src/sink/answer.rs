//! What the server answers to a message that was published.

use async_nats::{
    Message, StatusCode,
    jetstream::{self, ErrorCode, publish::PublishAck, response::Response},
};

/// What became of a message that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// A stream has it, now or since an earlier sending.
    Stored,
    /// Nobody listens to its subject.
    NobodyListens,
    /// Not now: the stream is full, or in trouble.
    NotNow(String),
    /// Never: the stream will not take it.
    Refused(String),
}

/// Reads an answer; `None` where it is none of JetStream's.
pub(super) fn read(message: &Message) -> Option<Answer> {
    if message.status == Some(StatusCode::NO_RESPONDERS) {
        return Some(Answer::NobodyListens);
    }
    let response = serde_json::from_slice::<Response<PublishAck>>(&message.payload).ok()?;
    Some(match response {
        Response::Ok(_) => Answer::Stored,
        Response::Err { error } => refused(&error),
    })
}

fn refused(error: &jetstream::Error) -> Answer {
    let reason = match error.error_code() {
        ErrorCode::STREAM_NOT_MATCH => format!("{error}: see stream"),
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM => {
            format!("{error}: see the max_msg_size of the stream")
        }
        _ => error.to_string(),
    };
    match error.code() {
        // As a service says that it is unavailable; so a full stream does too.
        500.. => Answer::NotNow(reason),
        _ => Answer::Refused(reason),
    }
}
