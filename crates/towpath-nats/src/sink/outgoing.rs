//! What a message of a batch becomes on its way to the server.

use async_nats::header::{NATS_EXPECTED_STREAM, NATS_MESSAGE_ID};
use towpath_connector::outgoing;
use towpath_core::{Batch, Headers};

use super::Unpublishable;
use crate::{JetStreamSinkOptions, Publish, headers, names, replies::Question};

/// Makes what is sent for the message at `place`.
///
/// `fallback` tells this sending of it from any other, for a message that has no identity.
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
    let given = outgoing(batch, place, &publish.headers);
    let own = own_headers(batch, place, options, fallback);
    let headers = headers::to_send(&given.updated(&own));
    Ok(Question {
        subject: subject.into(),
        headers: headers.map_err(|bad| Unpublishable::BadHeader {
            reason: bad.to_string(),
        })?,
        payload: publish.payload.clone(),
    })
}

/// The headers that the stream acts on.
fn own_headers(
    batch: &Batch<Publish>,
    place: usize,
    options: &JetStreamSinkOptions,
    fallback: &str,
) -> Headers {
    let name = |name: async_nats::HeaderName| name.to_string();
    let id = id(batch, place, options, fallback).map(|id| (name(NATS_MESSAGE_ID), id));
    let stream = options.stream.as_ref();
    let stream = stream.map(|stream| (name(NATS_EXPECTED_STREAM), stream.clone()));
    id.into_iter().chain(stream).collect()
}

/// The id that the stream knows the message by: its own, or one of its identity.
fn id(
    batch: &Batch<Publish>,
    place: usize,
    options: &JetStreamSinkOptions,
    fallback: &str,
) -> Option<String> {
    let publish = &batch.items()[place];
    if publish.id.is_some() {
        return publish.id.clone();
    }
    let header: &str = NATS_MESSAGE_ID.as_ref();
    let has_own = publish
        .headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case(header));
    if has_own || !options.deduplicate {
        return None;
    }
    let origin = batch.origin(place);
    let identity = origin.and_then(|origin| origin.identity.as_ref());
    Some(identity.map_or_else(|| format!("{fallback}-{place}"), ToString::to_string))
}
