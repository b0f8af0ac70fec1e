//! One who looks, and notes all that it is told.

use std::{
    convert::Infallible,
    error::Error,
    future::{Ready, poll_fn, ready},
    io,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::FutureExt;
use tokio::time::Instant;
use tower::Service;
use towpath_policy::{
    BoxError, ServiceFn,
    context::{self, CallContext},
    error_kind,
    observe::{self, AttemptObserver, CallObserver, Entered, WaitReason},
    service_fn,
};

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The attempts that a service has seen.
pub(crate) type Seen = Arc<Mutex<Vec<u32>>>;

/// What was told, in words. Times are since it was made, in milliseconds, cut to tens: a token
/// comes some nanoseconds after the millisecond that it is reckoned for.
#[derive(Clone)]
pub(crate) struct Log(Arc<Shared>);

struct Shared {
    begun: Instant,
    told: Mutex<Vec<String>>,
    waited: Mutex<(u64, Duration)>,
    depth: AtomicUsize,
    entered: AtomicUsize,
}

struct Attempt {
    log: Log,
    number: u32,
    ended: bool,
}

/// Leaves when it is dropped.
struct Inside(Log, usize);

// === impl Log ===

impl Default for Log {
    fn default() -> Self {
        Self(Arc::new(Shared {
            begun: Instant::now(),
            told: Mutex::default(),
            waited: Mutex::default(),
            depth: AtomicUsize::new(0),
            entered: AtomicUsize::new(0),
        }))
    }
}

impl Log {
    pub(crate) fn observer(&self) -> Arc<dyn CallObserver> {
        Arc::new(self.clone())
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.told.lock().unwrap().clone()
    }

    /// This, and nothing else, in this order; and every attempt that was entered was left.
    #[track_caller]
    pub(crate) fn told<'a>(&self, expected: impl IntoIterator<Item = &'a str>) {
        let expected: Vec<_> = expected.into_iter().collect();
        assert_eq!(self.all(), expected);
        assert_eq!(self.depth(), 0, "all that was entered is left");
    }

    /// How many attempts are entered now.
    pub(crate) fn depth(&self) -> usize {
        self.0.depth.load(SeqCst)
    }

    /// How often attempts were entered.
    pub(crate) fn entered(&self) -> usize {
        self.0.entered.load(SeqCst)
    }

    /// How many waits were told, and their sum.
    pub(crate) fn waited(&self) -> (u64, Duration) {
        *self.0.waited.lock().unwrap()
    }

    fn note(&self, words: String) {
        self.0.told.lock().unwrap().push(words);
    }

    /// Makes a call in a context, as a stage does, and looks at it.
    pub(crate) async fn call_in<S>(
        &self,
        context: &mut CallContext,
        service: &mut S,
        request: u32,
    ) -> Result<u32, BoxError>
    where
        S: Service<u32, Response = u32, Error = BoxError>,
    {
        poll_fn(|cx| service.poll_ready(cx)).await?;
        let observer = self.observer();
        let call = {
            let _entered = observe::enter(&observer);
            context::scope(context, || service.call(request))
        };
        let mut call = pin!(call);
        poll_fn(|cx| {
            let _entered = observe::enter(&observer);
            context::scope(context, || call.as_mut().poll(cx))
        })
        .await
    }
}

impl CallObserver for Log {
    fn attempt(&self, number: u32) -> Box<dyn AttemptObserver> {
        self.note(format!("begin {number}"));
        let log = self.clone();
        Box::new(Attempt {
            log,
            number,
            ended: false,
        })
    }

    fn waited(&self, reason: WaitReason, from: Instant, to: Instant) {
        let at = |time: Instant| (time - self.0.begun).as_millis() / 10 * 10;
        {
            let mut waited = self.0.waited.lock().unwrap();
            waited.0 += 1;
            waited.1 += to - from;
        }
        self.note(format!("wait {reason} {}..{}", at(from), at(to)));
    }
}

// === impl Attempt ===

impl AttemptObserver for Attempt {
    fn enter(&self) -> Box<dyn Entered> {
        self.log.0.entered.fetch_add(1, SeqCst);
        let depth = self.log.0.depth.fetch_add(1, SeqCst);
        Box::new(Inside(self.log.clone(), depth))
    }

    fn ended(mut self: Box<Self>, result: Result<(), &(dyn Error + 'static)>) {
        self.ended = true;
        let kind = result.map_or_else(error_kind, |()| "ok".into());
        self.log.note(format!("{kind} {}", self.number));
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.ended {
            self.log.note(format!("cancelled {}", self.number));
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let depth = self.0.0.depth.fetch_sub(1, SeqCst);
        // No assertion while another is on its way.
        if !std::thread::panicking() {
            assert_eq!(depth, self.1 + 1, "left in the reverse order");
        }
    }
}

/// Makes a call, and looks at it.
pub(crate) async fn observed<S>(log: &Log, service: &mut S, request: u32) -> Result<u32, BoxError>
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    log.call_in(&mut CallContext::default(), service, request)
        .await
}

/// Makes a call that nobody looks at.
pub(crate) async fn plain<S>(service: &mut S, request: u32) -> Result<u32, BoxError>
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    plain_in(&mut CallContext::default(), service, request).await
}

pub(crate) async fn plain_in<S>(
    context: &mut CallContext,
    service: &mut S,
    request: u32,
) -> Result<u32, BoxError>
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    poll_fn(|cx| service.poll_ready(cx)).await?;
    let call = context::scope(context, || service.call(request));
    let mut call = pin!(call);
    poll_fn(|cx| context::scope(context, || call.as_mut().poll(cx))).await
}

/// Where the panic of a call ends.
pub(crate) async fn caught<T>(call: impl Future<Output = T>) -> std::thread::Result<T> {
    AssertUnwindSafe(call).catch_unwind().await
}

/// A service whose first calls fail.
pub(crate) fn scripted(
    error: impl Fn() -> BoxError + Clone + Send + Sync,
    failures: usize,
) -> ServiceFn<impl Fn(u32) -> Ready<Result<u32, BoxError>> + Clone + Send + Sync> {
    let calls = Arc::new(AtomicUsize::new(0));
    service_fn(move |request| {
        let fails = calls.fetch_add(1, SeqCst) < failures;
        ready(if fails { Err(error()) } else { Ok(request) })
    })
}

/// A service that takes a while.
pub(crate) fn slow(
    time: Duration,
) -> ServiceFn<
    impl Fn(u32) -> futures_util::future::BoxFuture<'static, Result<u32, BoxError>> + Clone,
> {
    service_fn(move |request| {
        async move {
            tokio::time::sleep(time).await;
            Ok(request)
        }
        .boxed()
    })
}

/// A service that fails when it is asked whether it is ready.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unready;

impl Service<u32> for Unready {
    type Response = u32;
    type Error = BoxError;
    type Future = Ready<Result<u32, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let error = io::Error::from(io::ErrorKind::NotConnected);
        Poll::Ready(Err(error.into()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        ready(Ok::<_, Infallible>(request).map_err(Into::into))
    }
}
