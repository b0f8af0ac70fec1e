//! A small server for probes, scrapes and people.

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use axum::{Json, Router, http::StatusCode, middleware, response::IntoResponse};
use serde_json::json;
use tokio::{net::TcpListener, sync::oneshot, task::JoinSet};

use super::{
    Checks,
    connections::{self, Limits},
    guard::Guard,
    routes,
};
use crate::Monitor;

/// The port that OpenTelemetry gives to Prometheus.
const PORT: u16 = 9464;

/// A server of what [`router`](super::router) answers, over HTTP/1.
///
/// Nothing listens before [`bind`](Self::bind), and nobody but this machine is let in unless
/// [`address`](Self::address) says so: whoever can connect can read the names and errors of
/// all pipelines. On loopback, requests whose `Host` or `Origin` is not loopback's are turned
/// away, so that no page in a browser can read it.
///
/// It has at most 256 connections at once, waits at most 30 seconds for the head of a
/// request, and ends a connection after ten minutes.
#[derive(Debug)]
#[must_use = "it listens to nothing before it is bound"]
pub struct Server {
    monitor: Monitor,
    checks: Checks,
    address: SocketAddr,
    names: Vec<String>,
    limits: Limits,
}

/// A [`Server`] that has its address. Clients can connect, and wait until it runs.
#[must_use = "it answers nothing before it runs"]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
    limits: Limits,
}

/// A [`Server`] that runs until it is told to stop; dropped, it ends at once.
#[derive(Debug)]
#[must_use = "dropped, it ends at once"]
pub struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinSet<Stopped>,
}

/// How a [`Server`] ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stopped {
    /// Connections that were cut off because their answer took too long.
    pub cut: usize,
}

// === impl Server ===

impl Server {
    /// A server at port 9464 of loopback, with the checks as they are by default.
    pub fn new(monitor: Monitor) -> Self {
        Self {
            monitor,
            checks: Checks::new(),
            address: (Ipv4Addr::LOCALHOST, PORT).into(),
            names: Vec::new(),
            limits: Limits::default(),
        }
    }

    /// Judges health by `checks`.
    pub fn checks(mut self, checks: Checks) -> Self {
        self.checks = checks;
        self
    }

    /// Listens at this address; port 0 is any that is free.
    pub fn address(mut self, address: impl Into<SocketAddr>) -> Self {
        self.address = address.into();
        self
    }

    /// Answers to this name in `Host` and `Origin` too: that of a proxy, say. On an address
    /// that is not loopback's, every name is answered until one is given.
    pub fn name(mut self, host: impl Into<String>) -> Self {
        self.names.push(host.into());
        self
    }

    /// Waits so long for answers that are under way when it stops: 5 seconds by default.
    pub fn stop_within(mut self, grace: Duration) -> Self {
        self.limits.grace = grace;
        self
    }

    /// Has so many connections at once, at least one: 256 by default. Others wait until one
    /// ends.
    pub fn connections(mut self, most: usize) -> Self {
        self.limits.connections = most.max(1);
        self
    }

    /// Waits so long for the head of a request, the idle time before it included: 30 seconds
    /// by default. Who asks less often has to connect each time.
    pub fn head_within(mut self, time: Duration) -> Self {
        self.limits.head = time;
        self
    }

    /// Begins to listen.
    ///
    /// # Errors
    /// When the address cannot be had.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn bind(self) -> io::Result<Bound> {
        let listener = TcpListener::bind(self.address).await?;
        let address = listener.local_addr()?;
        let guard = Guard::new(address.ip().is_loopback(), self.names);
        let routes = routes::routes(self.monitor, self.checks).fallback(missing);
        Ok(Bound {
            listener,
            address,
            router: guarded(routes, guard),
            limits: self.limits,
        })
    }
}

/// With the guard inside what bounds every answer, and outside what it is about.
pub(super) fn guarded(routes: Router, guard: Guard) -> Router {
    let check = middleware::from_fn_with_state(guard, Guard::check);
    routes::layered(routes.layer(check))
}

async fn missing() -> impl IntoResponse {
    let paths = [
        "/livez",
        "/readyz",
        "/metrics",
        "/status",
        "/status/{pipeline}",
        "/events",
    ];
    let missing = json!({ "error": "there is no such path", "paths": paths });
    (StatusCode::NOT_FOUND, Json(missing))
}

// === impl Bound ===

impl Bound {
    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `shutdown`, and then until what is under way has gone out, in bounded
    /// time. Idle connections are ended at once.
    ///
    /// # Cancel safety
    /// Dropped, it ends all connections at once.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> Stopped {
        let served = connections::serve(self.listener, self.router, self.limits, shutdown);
        Stopped { cut: served.await }
    }

    /// Answers in the background, until the returned handle stops it or is dropped.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(self) -> Running {
        let address = self.address;
        let (stop, stopped) = oneshot::channel();
        let mut task = JoinSet::new();
        task.spawn(self.run_until(async {
            // The handle says so, or is gone.
            drop(stopped.await);
        }));
        Running {
            address,
            stop,
            task,
        }
    }
}

impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bound")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

// === impl Running ===

impl Running {
    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Accepts no more, waits in bounded time for what is under way, and ends.
    ///
    /// # Cancel safety
    /// Dropped, it ends at once.
    pub async fn stop(self) -> Stopped {
        let Self { stop, mut task, .. } = self;
        // If it is gone already, there is nothing to stop.
        stop.send(()).ok();
        let ended = task.join_next().await;
        ended.and_then(Result::ok).unwrap_or_default()
    }
}
