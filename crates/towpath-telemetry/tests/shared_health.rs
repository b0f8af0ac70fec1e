//! The server on a real network: what clients see, and how it ends.
#![cfg(feature = "http")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{io::Read, net::SocketAddr, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    task::JoinSet,
    time::{Instant, timeout},
};
use towpath_core::{Event, EventKind, Inspect, Phase, SourceStatus, StageName, Status, Telemetry};
use towpath_telemetry::{
    Monitor,
    health::{Checks, Running, Server},
};

/// Longer than anything here may take.
const LONG: Duration = Duration::from_secs(30);

struct Fake(Status);

impl Inspect for Fake {
    fn name(&self) -> &StageName {
        &self.0.name
    }
    fn phase(&self) -> Phase {
        self.0.phase
    }
    fn status(&self) -> Status {
        assert_ne!(
            self.0.name.as_str(),
            "broken",
            "a pipeline that cannot be asked"
        );
        self.0.clone()
    }
    fn diagram(&self) -> String {
        String::new()
    }
}

fn watching(statuses: impl IntoIterator<Item = Status>) -> Monitor {
    let monitor = Monitor::new();
    for status in statuses {
        monitor.watch(Arc::new(Fake(status)));
    }
    monitor
}

fn orders() -> Monitor {
    watching([Status::new("orders".into(), Phase::Running)])
}

/// An answer of megabytes: more than the buffers between two sockets hold.
fn huge() -> Monitor {
    watching((0..8).map(|i| {
        let mut status = Status::new(format!("orders {i}").into(), Phase::Running);
        let mut source = SourceStatus::new("kafka".into());
        source.error = Some("x".repeat(4 << 20));
        status.sources.push(source);
        status
    }))
}

fn server(monitor: Monitor) -> Server {
    Server::new(monitor).address(([127, 0, 0, 1], 0))
}

async fn started(server: Server) -> Running {
    server.bind().await.unwrap().start()
}

/// An answer: its code, its head in lower case, and its body.
struct Answer {
    code: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Sends text, and reads until the server closes the connection.
async fn send(address: SocketAddr, text: &str) -> Answer {
    let talk = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        answer
    };
    let answer = timeout(LONG, talk).await.unwrap();
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    Answer {
        code: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_lowercase(),
        body: answer[end + 4..].to_vec(),
    }
}

/// Asks by HTTP/1.0, which has no chunks and closes at the end.
async fn get(address: SocketAddr, target: &str, headers: &str) -> Answer {
    let head = format!("GET {target} HTTP/1.0\r\nHost: localhost\r\n{headers}\r\n");
    send(address, &head).await
}

/// Connects, asks once, reads the answer, and stays connected.
async fn idle(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\"reasons\":[]}") && !answer.ends_with(b"[],\"status\":\"ready\"}") {
        answer.push(stream.read_u8().await.unwrap());
    }
    stream
}

#[tokio::test]
async fn every_path_answers() {
    let monitor = orders();
    let event = Event::new(Duration::ZERO, "orders".into(), EventKind::Started);
    monitor.events().record(&"orders".into(), &event);
    let running = started(server(monitor)).await;
    let address = running.local_addr();
    assert!(address.ip().is_loopback() && address.port() != 0);
    for (path, part) in [
        ("/livez", "\"status\":\"ready\""),
        ("/readyz", "\"status\":\"ready\""),
        ("/metrics", "pipeline=\"orders\""),
        ("/status", "\"name\":\"orders\""),
        ("/status/orders", "\"phase\":\"running\""),
        ("/events?kind=started", "\"number\":1"),
    ] {
        let answer = get(address, path, "").await;
        let body = String::from_utf8_lossy(&answer.body);
        assert!(answer.code == 200 && body.contains(part), "{path}: {body}");
        assert!(answer.head.contains("cache-control: no-store"), "{path}");
    }
    let missing = get(address, "/nothing", "").await;
    assert_eq!(
        (missing.code, &missing.json()["paths"][0]),
        (404, &json!("/livez"))
    );
    assert_eq!(running.stop().await.cut, 0);
}

#[tokio::test]
async fn a_pipeline_that_is_not_well_is_503_with_its_reasons() {
    let mut status = Status::new("orders".into(), Phase::Running);
    let mut source = SourceStatus::new("kafka".into());
    source.error = Some("refused".into());
    status.sources.push(source);
    let running = started(server(watching([status])).checks(Checks::new())).await;
    let answer = get(running.local_addr(), "/readyz", "").await;
    let reason = &answer.json()["reasons"][0];
    assert_eq!(
        (answer.code, &reason["kind"]),
        (503, &json!("source_unreachable"))
    );
    assert_eq!(get(running.local_addr(), "/livez", "").await.code, 200);
    running.stop().await;
}

#[tokio::test]
async fn on_loopback_only_loopbacks_names_are_answered() {
    let running = started(server(orders()).name("proxy.example")).await;
    let address = running.local_addr();
    for (headers, code) in [
        ("Host: localhost\r\n", 200),
        ("Host: 127.0.0.1:9464\r\n", 200),
        ("Host: proxy.example\r\n", 200),
        ("Host: evil.example\r\n", 403),
        ("Host: localhost\r\nHost: evil.example\r\n", 403),
        ("", 403),
        ("Host: localhost\r\nOrigin: http://localhost:3000\r\n", 200),
        ("Host: localhost\r\nOrigin: http://evil.example\r\n", 403),
        ("Host: localhost\r\nOrigin: null\r\n", 403),
    ] {
        let text = format!("GET /livez HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
        let answer = send(address, &text).await;
        assert_eq!(answer.code, code, "{headers}");
        assert!(
            !answer.head.contains("access-control-allow"),
            "{}",
            answer.head
        );
    }
    running.stop().await;
}

#[tokio::test]
async fn answers_are_compressed_for_those_who_accept_it() {
    let running = started(server(orders())).await;
    let address = running.local_addr();
    let plain = get(address, "/metrics", "").await;
    assert!(!plain.head.contains("content-encoding"), "{}", plain.head);
    let packed = get(address, "/metrics", "Accept-Encoding: gzip\r\n").await;
    assert!(
        packed.head.contains("content-encoding: gzip"),
        "{}",
        packed.head
    );
    assert!(packed.body.len() * 2 < plain.body.len());
    let mut text = String::new();
    flate2::read::GzDecoder::new(&*packed.body)
        .read_to_string(&mut text)
        .unwrap();
    assert!(text.contains("pipeline=\"orders\""));
    running.stop().await;
}

#[tokio::test]
async fn a_panic_is_500_and_the_server_goes_on() {
    let broken = Status::new("broken".into(), Phase::Running);
    let running = started(server(watching([broken]))).await;
    let address = running.local_addr();
    assert_eq!(get(address, "/status", "").await.code, 500);
    assert_eq!(get(address, "/events", "").await.code, 200);
    running.stop().await;
}

#[tokio::test]
async fn only_reading_is_allowed() {
    let running = started(server(orders())).await;
    let address = running.local_addr();
    let ask = |method| format!("{method} /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n");
    let head = send(address, &ask("HEAD")).await;
    assert_eq!((head.code, head.body.len()), (200, 0));
    let post = send(address, &ask("POST")).await;
    assert!(
        post.code == 405 && post.head.contains("allow: get,head"),
        "{}",
        post.head
    );
    let large = "POST /readyz HTTP/1.0\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n";
    assert_eq!(send(address, large).await.code, 413);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_clients_at_once_are_all_answered_over_few_connections() {
    let running = started(server(orders()).connections(8)).await;
    let address = running.local_addr();
    let mut asked = JoinSet::new();
    for i in 0..100 {
        let path = ["/livez", "/readyz", "/metrics", "/status", "/events"][i % 5];
        asked.spawn(async move { get(address, path, "").await.code });
    }
    let codes = asked.join_all().await;
    assert_eq!(codes, [200; 100]);
    assert_eq!(running.stop().await.cut, 0);
}

#[tokio::test]
async fn a_client_that_dawdles_over_its_request_is_disconnected() {
    let running = started(server(orders()).head_within(Duration::from_millis(50))).await;
    let mut stream = TcpStream::connect(running.local_addr()).await.unwrap();
    stream
        .write_all(b"GET /livez HTTP/1.1\r\nHost: loc")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let closed = timeout(LONG, stream.read_to_end(&mut answer)).await;
    assert!(closed.is_ok(), "still connected");
    running.stop().await;
}

#[tokio::test]
async fn clients_that_wait_or_dawdle_do_not_hold_up_the_end() {
    let running = started(server(orders()).stop_within(2 * LONG)).await;
    let address = running.local_addr();
    let silent = TcpStream::connect(address).await.unwrap();
    let mut dawdling = TcpStream::connect(address).await.unwrap();
    dawdling
        .write_all(b"GET /livez HTTP/1.1\r\nHost: loc")
        .await
        .unwrap();
    let idle = idle(address).await;
    let stopped = timeout(LONG, running.stop()).await.expect("ends at once");
    assert_eq!(stopped.cut, 0);
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens");
    drop((silent, dawdling, idle));
}

#[tokio::test]
async fn one_that_dawdles_over_its_second_request_is_cut_off_in_time() {
    let running = started(server(orders()).stop_within(Duration::from_millis(100))).await;
    let mut stream = idle(running.local_addr()).await;
    stream
        .write_all(b"GET /livez HTTP/1.1\r\nHost: loc")
        .await
        .unwrap();
    let begun = Instant::now();
    let stopped = timeout(LONG, running.stop()).await.unwrap();
    assert!(stopped.cut <= 1 && begun.elapsed() < LONG / 2);
}

#[tokio::test]
async fn an_answer_that_nobody_reads_is_cut_off_at_the_deadline() {
    let running = started(server(huge()).stop_within(Duration::from_millis(100))).await;
    let mut stream = TcpStream::connect(running.local_addr()).await.unwrap();
    let head = b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(head).await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'H');
    let stopped = timeout(LONG, running.stop()).await.unwrap();
    assert_eq!(stopped.cut, 1);
}

#[tokio::test]
async fn an_answer_that_is_under_way_goes_out_before_the_end() {
    let running = started(server(huge()).stop_within(LONG)).await;
    let mut stream = TcpStream::connect(running.local_addr()).await.unwrap();
    let head = b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(head).await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'H');
    let mut rest = Vec::new();
    let (stopped, read) = tokio::join!(running.stop(), stream.read_to_end(&mut rest));
    read.unwrap();
    assert_eq!(stopped.cut, 0);
    assert!(rest.len() > 8 * (4 << 20), "{} bytes", rest.len());
}

#[tokio::test]
async fn a_server_that_is_awaited_ends_when_it_is_told() {
    let bound = server(orders()).bind().await.unwrap();
    let address = bound.local_addr();
    let (stop, stopped) = oneshot::channel::<()>();
    let served = bound.run_until(async { drop(stopped.await) });
    let asked = async {
        let code = get(address, "/livez", "").await.code;
        stop.send(()).unwrap();
        code
    };
    let (served, code) = tokio::join!(served, asked);
    assert_eq!((served.cut, code), (0, 200));
}

#[tokio::test]
async fn a_handle_that_is_dropped_takes_the_server_with_it() {
    let running = started(server(orders())).await;
    let mut stream = idle(running.local_addr()).await;
    drop(running);
    let ended = timeout(LONG, stream.read_u8()).await.unwrap();
    assert!(ended.is_err(), "still connected");
}

#[tokio::test]
async fn an_address_that_is_taken_is_an_error() {
    let bound = server(orders()).bind().await.unwrap();
    let second = Server::new(orders())
        .address(bound.local_addr())
        .bind()
        .await;
    assert_eq!(second.unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
}
