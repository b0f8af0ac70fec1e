//! Requests and answers as gRPC has them: one length-prefixed message each way.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::Collected;

use super::{SendError, common_headers, gzip, retry_header};
use crate::otlp::config::Target;

/// Of the flag that says whether a message is compressed, and of its length.
const PREFIX: usize = 5;

/// The status of a server that does not know the service.
const UNIMPLEMENTED: u32 = 12;

/// The headers and the body of a request.
pub(super) fn request(message: &Bytes, target: &Target) -> (HeaderMap, Bytes) {
    let mut headers = common_headers("application/grpc");
    headers.insert(http::header::TE, HeaderValue::from_static("trailers"));
    let compressed = target.gzip.then(|| gzip(message)).flatten();
    if compressed.is_some() {
        headers.insert("grpc-encoding", HeaderValue::from_static("gzip"));
    }
    let millis = target.timeout.as_millis().min(99_999_999);
    if let Ok(timeout) = HeaderValue::try_from(format!("{millis}m")) {
        headers.insert("grpc-timeout", timeout);
    }
    let flag = compressed.is_some();
    (
        headers,
        frame(compressed.as_deref().unwrap_or(message), flag),
    )
}

fn frame(message: &[u8], compressed: bool) -> Bytes {
    let mut frame = BytesMut::with_capacity(PREFIX + message.len());
    frame.put_u8(compressed.into());
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put_slice(message);
    frame.freeze()
}

/// The message of an answer.
pub(super) fn answer(answer: Response<Collected<Bytes>>) -> Result<Bytes, SendError> {
    let (head, body) = answer.into_parts();
    let trailers = body.trailers().unwrap_or(&head.headers);
    let status = trailers
        .get("grpc-status")
        .or_else(|| head.headers.get("grpc-status"))
        .and_then(|status| status.to_str().ok()?.parse::<u32>().ok());
    match status {
        Some(0) => Ok(message(body.to_bytes())),
        Some(code) => Err(refused(code, trailers)),
        None => Err(no_grpc(head.status, &head.headers)),
    }
}

/// Without its prefix. A compressed one was not asked for.
fn message(mut body: Bytes) -> Bytes {
    if body.first() != Some(&0) || body.len() < PREFIX {
        return Bytes::new();
    }
    body.split_off(PREFIX)
}

fn refused(code: u32, trailers: &HeaderMap) -> SendError {
    let said = trailers
        .get("grpc-message")
        .and_then(|message| message.to_str().ok())
        .unwrap_or_default();
    // CANCELLED, DEADLINE_EXCEEDED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS, and
    // RESOURCE_EXHAUSTED where the collector says that it recovers.
    let again = matches!(code, 1 | 4 | 10 | 11 | 14 | 15)
        || (code == 8 && trailers.contains_key("grpc-status-details-bin"));
    let answer = format!("gRPC status {code} {said}").trim_end().to_owned();
    if code == UNIMPLEMENTED {
        return SendError::Unwanted { answer };
    }
    SendError::Refused {
        answer,
        retry: again.then(|| retry_header(trailers)),
    }
}

/// Something that is no gRPC server, or a proxy before one.
fn no_grpc(status: StatusCode, headers: &HeaderMap) -> SendError {
    let again = matches!(status.as_u16(), 429 | 502..=504);
    SendError::Refused {
        answer: format!("HTTP {status}, which is not gRPC"),
        retry: again.then(|| retry_header(headers)),
    }
}
