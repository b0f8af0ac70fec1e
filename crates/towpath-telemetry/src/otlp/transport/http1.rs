//! Requests and answers as OTLP over HTTP has them: the bare message in the body.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header::CONTENT_ENCODING};
use http_body_util::Collected;

use super::{SendError, common_headers, gzip, retry_header};
use crate::otlp::config::Target;

/// The headers and the body of a request.
pub(super) fn request(message: Bytes, target: &Target) -> (HeaderMap, Bytes) {
    let mut headers = common_headers("application/x-protobuf");
    match target.gzip.then(|| gzip(&message)).flatten() {
        Some(compressed) => {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            (headers, compressed.into())
        }
        None => (headers, message),
    }
}

/// The message of an answer.
pub(super) fn answer(answer: Response<Collected<Bytes>>) -> Result<Bytes, SendError> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer.into_body().to_bytes());
    }
    if status == StatusCode::NOT_FOUND {
        let answer = format!("HTTP {status}");
        return Err(SendError::Unwanted { answer });
    }
    let again = matches!(status.as_u16(), 429 | 502..=504);
    Err(SendError::Refused {
        answer: format!("HTTP {status}"),
        retry: again.then(|| retry_header(answer.headers())),
    })
}
