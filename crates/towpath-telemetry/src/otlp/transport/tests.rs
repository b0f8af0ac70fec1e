//! Requests and answers, without a collector.

use http::{HeaderValue, Response};

use http_body_util::Collected;

use super::*;

fn target(protocol: Protocol, gzip: bool) -> Target {
    Target {
        uri: Uri::from_static("http://localhost:4317/path"),
        protocol,
        headers: HeaderMap::from_iter([(
            http::header::USER_AGENT,
            HeaderValue::from_static("mine"),
        )]),
        timeout: Duration::from_secs(10),
        gzip,
    }
}

/// What a collector answers: of gRPC the status may come before the body.
fn answered(status: u16, headers: &[(&'static str, &'static str)]) -> Response<Collected<Bytes>> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    let body = futures::executor::block_on(Full::new(Bytes::new()).collect());
    response.body(body.unwrap()).unwrap()
}

fn retry(answer: Result<Bytes, SendError>) -> Option<Duration> {
    answer.unwrap_err().retry_after()
}

#[test]
fn grpc_puts_flag_and_length_before_the_message() {
    let message = Bytes::from_static(b"abc");
    let (headers, body) = grpc::request(&message, &target(Protocol::Grpc, false));
    assert_eq!(body, b"\0\0\0\0\x03abc".as_slice());
    assert_eq!(headers["content-type"], "application/grpc");
    assert_eq!(headers["te"], "trailers");
    assert_eq!(headers["grpc-timeout"], "10000m");
    let (headers, body) = grpc::request(&message, &target(Protocol::Grpc, true));
    assert_eq!(
        (headers["grpc-encoding"].as_bytes(), body[0]),
        (b"gzip".as_slice(), 1)
    );
}

#[test]
fn the_headers_of_the_user_take_the_place_of_ours() {
    let transport = Transport::new(target(Protocol::Http, false)).unwrap();
    let request = transport.request(Bytes::new());
    let agents: Vec<_> = request.headers().get_all("user-agent").iter().collect();
    assert_eq!(agents, ["mine"]);
    assert_eq!(request.headers()["content-type"], "application/x-protobuf");
}

#[test]
fn grpc_is_tried_again_where_the_status_says_that_it_may_help() {
    for code in 1..=16_u32 {
        let status: &'static str = code.to_string().leak();
        let error = grpc::answer(answered(200, &[("grpc-status", status)]));
        let again = matches!(code, 1 | 4 | 10 | 11 | 14 | 15);
        assert_eq!(retry(error).is_some(), again, "{code}");
    }
    let exhausted = [("grpc-status", "8"), ("grpc-status-details-bin", "AA")];
    assert!(retry(grpc::answer(answered(200, &exhausted))).is_some());
}

#[test]
fn http_is_tried_again_where_the_status_says_that_it_may_help() {
    for (status, again) in [
        (400, false),
        (401, false),
        (404, false),
        (413, false),
        (429, true),
        (500, false),
        (502, true),
        (503, true),
        (504, true),
    ] {
        let error = http1::answer(answered(status, &[]));
        assert_eq!(retry(error).is_some(), again, "{status}");
    }
}

#[test]
fn a_collector_that_takes_nothing_of_the_kind_is_known_by_its_answer() {
    let grpc = grpc::answer(answered(200, &[("grpc-status", "12")]));
    let http = http1::answer(answered(404, &[]));
    for answer in [grpc, http] {
        assert!(matches!(answer, Err(SendError::Unwanted { .. })));
    }
}

#[test]
fn a_collector_is_left_alone_for_as_long_as_it_asks() {
    let error = http1::answer(answered(503, &[("retry-after", "7")]));
    assert_eq!(retry(error), Some(Duration::from_secs(7)));
}

#[test]
fn what_is_no_grpc_server_is_named_so() {
    let error = grpc::answer(answered(404, &[])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the collector answers `HTTP 404 Not Found, which is not gRPC`"
    );
    assert!(!error.is_silence());
}
