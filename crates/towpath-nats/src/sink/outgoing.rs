//! What a message of a batch becomes on its way to the server.

use async_nats::header::{NATS_EXPECTED_STREAM, NATS_MESSAGE_ID};
use towpath_connector::outgoing;
use towpath_core::{Batch, Headers, Origin};

use super::Unpublishable;
use crate::{JetStreamSinkOptions, Publish, headers, names, replies::Question};

/// Makes what is sent for the message at `place`.
///
/// `fallback` tells this sending of it from any other, for a message that nothing else is
/// known of: so sending it again stores it once.
pub(super) fn question(
    batch: &Batch<Publish>,
    place: usize,
    options: &JetStreamSinkOptions,
    fallback: &str,
) -> Result<Question, Unpublishable> {
    let publish = &batch.items()[place];
    let subject = match &options.subject_prefix {
        Some(prefix) => format!("{prefix}.{}", publish.subject),
        None => publish.subject.clone(),
    };
    if !names::is_subject(&subject) {
        return Err(Unpublishable::NoSubject { subject });
    }
    let id = publish.id.clone().or_else(|| {
        let origin = batch.origin(place).filter(|_| options.deduplicate);
        let known = origin.and_then(|origin| id_of(origin, batch, &subject));
        let made = || known.unwrap_or_else(|| format!("{fallback}-{place}"));
        (!has_id(&publish.headers)).then(made)
    });
    let own = own_headers(id, options.stream.clone());
    let headers = outgoing(batch, place, &publish.headers).updated(&own);
    let headers = headers::to_send(&headers).map_err(|bad| Unpublishable::BadHeader {
        reason: bad.to_string(),
    })?;
    Ok(Question {
        subject: subject.into(),
        headers,
        payload: publish.payload.clone(),
    })
}

/// The id of what this stage makes of the message for the subject: the same whenever it comes,
/// and another than that of what others make of it.
fn id_of(origin: &Origin, batch: &Batch<Publish>, subject: &str) -> Option<String> {
    let identity = origin.identity.as_ref()?;
    Some(format!("{identity}@{}/{subject}", batch.info().batcher))
}

fn has_id(headers: &Headers) -> bool {
    let id: &str = NATS_MESSAGE_ID.as_ref();
    headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case(id))
}

/// The headers that the stream acts on.
fn own_headers(id: Option<String>, stream: Option<String>) -> Headers {
    let id = id.map(|id| (NATS_MESSAGE_ID.to_string(), id));
    let stream = stream.map(|stream| (NATS_EXPECTED_STREAM.to_string(), stream));
    id.into_iter().chain(stream).collect()
}
