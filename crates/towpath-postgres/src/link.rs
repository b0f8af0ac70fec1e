//! A connection, and the task that drives it.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Poll, ready},
    time::Duration,
};

use futures_util::future::{BoxFuture, MaybeDone, maybe_done};
use tokio::{
    sync::{Notify, oneshot},
    task::JoinSet,
    time::timeout,
};
use tokio_postgres::{AsyncMessage, Client, Error};

use crate::{
    PostgresError, PostgresOptions,
    error::words,
    server::{Tls, Wire},
};

/// How long a connection that was given up may take to say so to the server.
const CANCEL_WITHIN: Duration = Duration::from_secs(2);
/// How much longer than the server itself its client waits for an answer.
const GRACE: Duration = Duration::from_secs(2);
/// How many statements are sent before the first is answered.
const WINDOW: usize = 64;
/// A connection whose client is gone is noticed while a statement runs: after so many
/// milliseconds. Servers before PostgreSQL 14 do not know the setting.
const NOTICE_THE_END: &str = "SELECT set_config('client_connection_check_interval', '1000', false)";

/// Makes connections to one server, and owns the tasks that drive them.
///
/// A task ends with its connection; all of them end with this.
pub(crate) struct Dialer {
    server: Arc<PostgresOptions>,
    drivers: JoinSet<()>,
    /// Wakes whoever waits for notifications, and when a connection is lost.
    heard: Arc<Notify>,
}

/// A connection. One that is dropped while it is busy is given up, and the server told so.
pub(crate) struct Link {
    pub(crate) client: Arc<Client>,
    server: Arc<PostgresOptions>,
    lost: Arc<Mutex<Option<String>>>,
    give_up: Option<oneshot::Sender<()>>,
    is_busy: bool,
}

/// A call that was sent.
pub(crate) struct Started<T>(MaybeDone<BoxFuture<'static, Result<T, Error>>>);

impl<T> Started<T> {
    pub(crate) async fn answer(self) -> Result<T, Error> {
        answer(self.0).await
    }
}

// === impl Dialer ===

impl Dialer {
    pub(crate) fn new(server: PostgresOptions) -> Self {
        Self {
            server: Arc::new(server),
            drivers: JoinSet::new(),
            heard: Arc::new(Notify::new()),
        }
    }

    pub(crate) fn server(&self) -> &PostgresOptions {
        &self.server
    }

    pub(crate) fn heard(&self) -> Arc<Notify> {
        self.heard.clone()
    }

    /// Connects, within the time for it.
    ///
    /// Cancel safe: a connection that is not made leaves nothing behind.
    pub(crate) async fn connect(&mut self) -> Result<Link, PostgresError> {
        while self.drivers.try_join_next().is_some() {}
        let server = self.server.clone();
        let within = server.connects_within();
        let link = timeout(within, self.log_in(&server)).await;
        link.unwrap_or_else(|_| {
            let silent = PostgresError::silent(&server, within);
            Err(silent.and("; look at host and port in `url`"))
        })
    }

    async fn log_in(&mut self, server: &Arc<PostgresOptions>) -> Result<Link, PostgresError> {
        let wrong = |problem: String| PostgresError::later(format!("`url` {problem}"));
        let config = server.config().map_err(wrong)?;
        let tls = server
            .tls()
            .map_err(|problem| PostgresError::later(format!("`ca` is of no use: {problem}")))?;
        let refused = |error: Error| PostgresError::login(server, &error);
        let (client, wire) = tls.connect(&config).await.map_err(refused)?;
        let link = self.drive(client, wire, tls);
        let limits = limits(server.answers_within());
        link.client.batch_execute(&limits).await.map_err(refused)?;
        // Only some servers can.
        drop(link.client.batch_execute(NOTICE_THE_END).await);
        Ok(link)
    }

    fn drive(&mut self, client: Client, wire: Wire, tls: Tls) -> Link {
        let (give_up, abandoned) = oneshot::channel();
        let lost = Arc::new(Mutex::new(None));
        let token = client.cancel_token();
        let (heard, noted) = (self.heard.clone(), lost.clone());
        self.drivers.spawn(async move {
            tokio::select! {
                biased;
                Ok(()) = abandoned => {
                    // Whether it arrives or not: the connection is closed.
                    drop(timeout(CANCEL_WITHIN, tls.cancel(&token)).await);
                }
                ended = listen(wire, &heard) => {
                    *lock(&noted) = ended;
                    heard.notify_one();
                }
            }
        });
        Link {
            client: Arc::new(client),
            server: self.server.clone(),
            lost,
            give_up: Some(give_up),
            is_busy: false,
        }
    }
}

/// Drives a connection until it ends, and says why it did if that was not wanted.
async fn listen(mut wire: Wire, heard: &Notify) -> Option<String> {
    poll_fn(|cx| {
        loop {
            match ready!(wire.poll_message(cx)) {
                Some(Ok(AsyncMessage::Notification(_))) => heard.notify_one(),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Some(words(&error)).into(),
                None => return None.into(),
            }
        }
    })
    .await
}

/// What the server itself puts an end to: long statements, and transactions whose client has
/// stopped talking.
fn limits(statement: Duration) -> String {
    let statement = millis(statement);
    let idle = statement.saturating_mul(2);
    format!("SET statement_timeout = {statement}; SET idle_in_transaction_session_timeout = {idle}")
}

/// In the whole milliseconds that the server counts; none would be no limit.
fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).map_or(i32::MAX / 2, |millis| millis.max(1))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

// === impl Link ===

impl Link {
    /// Awaits a call of the server, no longer than the server may take for it.
    ///
    /// While it runs and when it is dropped, the connection is busy; also after an error of
    /// the connection itself.
    pub(crate) async fn call<T>(
        &mut self,
        setting: &str,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, PostgresError> {
        let within = self.server.answers_within();
        self.call_within(within + GRACE, setting, call).await
    }

    /// As [`call`](Self::call), within another time.
    pub(crate) async fn call_within<T>(
        &mut self,
        within: Duration,
        setting: &str,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, PostgresError> {
        self.is_busy = true;
        let answer = timeout(within, call).await;
        let answer = answer.map_err(|_| PostgresError::silent(&self.server, within))?;
        // An error of the server is an answer like any other.
        self.is_busy = matches!(&answer, Err(error) if error.as_db_error().is_none());
        answer.map_err(|error| self.failed(setting, &error))
    }

    /// Sends statements one behind the other and awaits their answers, each no longer than
    /// the server may take for one. Stops at the first that fails; returns its place too.
    pub(crate) async fn pipeline(
        &mut self,
        setting: &str,
        statements: Vec<BoxFuture<'_, Result<u64, Error>>>,
    ) -> Result<(), (usize, PostgresError)> {
        let mut statements = statements.into_iter().map(maybe_done).enumerate();
        loop {
            let mut window: Vec<_> = statements.by_ref().take(WINDOW).collect();
            if window.is_empty() {
                return Ok(());
            }
            self.is_busy = true;
            send(&mut window).await;
            let mut failed = None;
            for (place, statement) in window {
                match self.call(setting, answer(statement)).await {
                    Ok(_) => {}
                    // What was sent behind it is refused: that is heard too.
                    Err(error) if error.sqlstate().is_some() => {
                        failed = failed.or(Some((place, error)));
                    }
                    Err(error) => return Err(failed.unwrap_or((place, error))),
                }
            }
            if let Some(failed) = failed {
                return Err(failed);
            }
        }
    }

    /// Sends a call, for its [answer](Started::answer) to be awaited by [`call`](Self::call).
    /// The connection is busy until then.
    pub(crate) async fn start<T>(
        &mut self,
        call: BoxFuture<'static, Result<T, Error>>,
    ) -> Started<T> {
        self.is_busy = true;
        let mut window = [(0, maybe_done(call))];
        send(&mut window).await;
        let [(_, call)] = window;
        Started(call)
    }

    pub(crate) fn failed(&self, setting: &str, error: &Error) -> PostgresError {
        let lost = lock(&self.lost).clone();
        PostgresError::statement(&self.server, setting, error, lost)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }
}

/// Polls each once, in order: that is when they are sent.
async fn send<F: Future + Unpin>(window: &mut [(usize, MaybeDone<F>)]) {
    poll_fn(|cx| {
        for (_, statement) in &mut *window {
            let _sent = Pin::new(statement).poll(cx);
        }
        Poll::Ready(())
    })
    .await;
}

async fn answer<F: Future + Unpin>(mut statement: MaybeDone<F>) -> F::Output {
    (&mut statement).await;
    let answer = Pin::new(&mut statement).take_output();
    answer.expect("what was awaited and not taken is there")
}

impl Drop for Link {
    fn drop(&mut self) {
        if self.is_busy && !self.is_closed() {
            // A driver that is gone already has nothing to give up.
            let _gone = self.give_up.take().map(|give_up| give_up.send(()));
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("server", &self.server)
            .field("is_busy", &self.is_busy)
            .finish_non_exhaustive()
    }
}
