//! Takes connections, and ends them in time.

use std::{
    convert::Infallible,
    io,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{Router, body::Body, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tower::Service;

/// How long nothing is accepted after the system refused: it has no files left, mostly.
const REFUSED: Duration = Duration::from_secs(1);

/// What one server puts up with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// How many connections there are at once; others wait to be accepted.
    pub(super) connections: usize,
    /// How long a client may take for the head of a request, idle time before it included.
    pub(super) head: Duration,
    /// How long a connection may last.
    pub(super) age: Duration,
    /// How long an answer may still take when the server stops.
    pub(super) grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            head: Duration::from_secs(30),
            age: Duration::from_secs(600),
            grace: Duration::from_secs(5),
        }
    }
}

/// Serves until `shutdown`, and then lets answers that are under way go out. Returns how many
/// connections had to be cut off.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) -> usize {
    let mut connections = JoinSet::new();
    let (closing, closed) = watch::channel(());
    let mut shutdown = pin!(shutdown);
    loop {
        let stream = tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            stream = accept(&listener), if connections.len() < limits.connections => stream,
        };
        connections.spawn(connection(stream, router.clone(), limits, closed.clone()));
    }
    drop((listener, closing));
    end(connections, limits.grace).await
}

async fn end(mut connections: JoinSet<()>, grace: Duration) -> usize {
    let all = async { while connections.join_next().await.is_some() {} };
    // Those that are left are counted.
    drop(timeout(grace, all).await);
    let cut = connections.len();
    connections.shutdown().await;
    cut
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections");
                sleep(REFUSED).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

/// Serves one connection; `closing` fails when the server stops.
async fn connection(
    stream: TcpStream,
    router: Router,
    limits: Limits,
    mut closing: watch::Receiver<()>,
) {
    let asked = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&asked);
    let service = service_fn(move |request: Request<Incoming>| {
        noted.store(true, Relaxed);
        answer(router.clone(), request)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.head);
    let mut served = pin!(http.serve_connection(TokioIo::new(stream), service));
    let aged = tokio::select! {
        // That a client broke off is no news.
        _ = served.as_mut() => return,
        _ = closing.changed() => false,
        () = sleep(limits.age) => true,
    };
    // One that never asked is not idle to hyper, which would wait for its request.
    if !asked.load(Relaxed) {
        return;
    }
    served.as_mut().graceful_shutdown();
    tokio::select! {
        _ = served => {}
        // When the server stops, it is the one to cut off, and to count.
        () = sleep(limits.grace), if aged => {}
    }
}

async fn answer(
    mut router: Router,
    request: Request<Incoming>,
) -> Result<axum::response::Response, Infallible> {
    // A router is always ready.
    router.call(request.map(Body::new)).await
}
