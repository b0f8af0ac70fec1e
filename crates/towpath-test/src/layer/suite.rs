//! The suite: a layer, what it may do, and the checks of it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use tokio::runtime::Builder;
use tower_service::Service;
use towpath::BoxError;

use super::{
    Broken, Probe, Rule, Script,
    caller::{Call, Requests, Typed, text_of},
    checks,
    expect::Expect,
    trial::Trial,
};

/// Checks a layer against every [`Rule`], and says beforehand what it may do beside
/// handing calls through.
///
/// Each rule is checked in a thread and a paused runtime of its own: it does not matter
/// where the checks are called, and no time passes.
///
/// ```
/// use std::time::Duration;
/// use tower::{Layer, limit::ConcurrencyLimitLayer, timeout::TimeoutLayer};
/// use towpath_test::layer::Suite;
///
/// Suite::new(|inner| ConcurrencyLimitLayer::new(3).layer(inner))
///     .runs_at_most(3)
///     .check();
/// Suite::new(|inner| TimeoutLayer::new(Duration::from_secs(5)).layer(inner))
///     .times_out_after(Duration::from_secs(5))
///     .check();
/// ```
#[must_use]
pub struct Suite {
    make: Make,
    expect: Expect,
}

/// Makes a service around a new inner one.
pub(super) type Make = Arc<dyn Fn() -> (Box<dyn Call>, Script) + Send + Sync>;

// === impl Suite ===

impl Suite {
    /// Checks the layer that `make` puts around an inner service whose requests and answers
    /// are numbers. No two requests are the same.
    pub fn new<S>(make: impl Fn(Probe) -> S + Send + Sync + 'static) -> Self
    where
        S: Service<u64, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
    {
        Self::of(|number| number, |number| *number, make)
    }

    /// Checks a layer that wants requests and answers of its own: `request` makes the
    /// request of a number, `respond` the answer to a request.
    pub fn of<S, Q, R>(
        request: impl Fn(u64) -> Q + Send + Sync + 'static,
        respond: impl Fn(&Q) -> R + Send + Sync + 'static,
        make: impl Fn(Probe<Q, R>) -> S + Send + Sync + 'static,
    ) -> Self
    where
        S: Service<Q, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
        Q: Send + 'static,
        R: Send + 'static,
    {
        let number = AtomicU64::new(0);
        let requests: Requests<Q> = Arc::new(move || request(number.fetch_add(1, SeqCst)));
        let respond: Arc<dyn Fn(&Q) -> R + Send + Sync> = Arc::new(respond);
        let make: Make = Arc::new(move || {
            let (probe, script) = Probe::shared(respond.clone());
            let call = Typed::new(make(probe), requests.clone());
            (Box::new(call), script)
        });
        Self {
            make,
            expect: Expect::default(),
        }
    }

    /// A call that fails is tried up to so many times, the first time included.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.expect.attempts = attempts.max(1);
        self
    }

    /// All waits between the attempts of one call are no longer than this together.
    pub fn backs_off_at_most(mut self, total: Duration) -> Self {
        self.expect.backoff = Some(total);
        self
    }

    /// At most so many calls run at once.
    pub fn runs_at_most(mut self, n: usize) -> Self {
        self.expect.at_most = Some(n.max(1));
        self
    }

    /// So many calls are let in at once, and then none until some time has passed;
    /// after `per` there is room for as many again.
    pub fn admits(mut self, n: usize, per: Duration) -> Self {
        self.expect.rate = Some((n.max(1), per));
        self
    }

    /// After so many failing calls in a row none is let in for as long as `lasting`.
    pub fn opens_after(mut self, failures: usize, lasting: Duration) -> Self {
        self.expect.opens = Some((failures, lasting));
        self
    }

    /// An attempt that takes longer is given up, and is a failure.
    pub fn times_out_after(mut self, limit: Duration) -> Self {
        self.expect.timeout = Some(limit);
        self
    }

    /// A call that takes longer is given up, with all its attempts.
    pub fn gives_up_after(mut self, limit: Duration) -> Self {
        self.expect.gives_up = Some(limit);
        self
    }

    /// A call that is not answered after so long is sent a second time.
    pub fn hedges_after(mut self, delay: Duration) -> Self {
        self.expect.hedge = Some(delay);
        self
    }

    /// A call that is not let in fails at once, where others would wait.
    pub fn rejects(mut self) -> Self {
        self.expect.rejects = true;
        self
    }

    /// A failure of the inner service is answered with something else.
    pub fn answers_errors(mut self) -> Self {
        self.expect.answers_errors = true;
        self
    }

    /// A panic of the inner service is an error.
    pub fn catches_panics(mut self) -> Self {
        self.expect.catches_panics = true;
        self
    }

    /// Checks every rule.
    ///
    /// # Panics
    /// Panics with the rules that are broken, and how.
    #[track_caller]
    pub fn check(&self) {
        let broken: Vec<_> = self.broken().iter().map(ToString::to_string).collect();
        assert!(
            broken.is_empty(),
            "the layer breaks {} of its rules:\n- {}",
            broken.len(),
            broken.join("\n- ")
        );
    }

    /// The rules that are broken, each once, and how.
    pub fn broken(&self) -> Vec<Broken> {
        let mut broken: Vec<Broken> = Vec::new();
        for rule in Rule::ALL {
            match self.check_only(rule) {
                Err(new) if broken.iter().all(|known| known.rule != new.rule) => broken.push(new),
                _ => {}
            }
        }
        broken
    }

    /// Checks one rule.
    ///
    /// # Errors
    /// Fails with what was seen: of this rule, or of the [contract](Rule::Contract), which
    /// is watched throughout.
    ///
    /// # Panics
    /// Panics where the system refuses a new thread.
    pub fn check_only(&self, rule: Rule) -> Result<(), Broken> {
        let trial = Trial::new(rule, self.make.clone(), self.expect.clone());
        let checked = thread::spawn(move || {
            let mut runtime = Builder::new_current_thread();
            let runtime = runtime.enable_all().start_paused(true).build();
            runtime
                .expect("a runtime without threads can be built")
                .block_on(checks::check(&trial))
        });
        checked.join().unwrap_or_else(|panic| {
            let what = format!("it cannot be checked: {}", text_of(&*panic));
            Err(rule.broken(what))
        })
    }
}

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut suite = f.debug_struct("Suite");
        suite.field("expect", &self.expect).finish_non_exhaustive()
    }
}
