//! One rule on trial: stands, on each of which one scenario is played with a new service.

use std::{cell::Cell, sync::Arc, time::Duration};

use tokio::{
    task::yield_now,
    time::{Instant, sleep, timeout_at},
};
use towpath::BoxError;

use super::{
    Broken, Rule, Script,
    act::Act,
    caller::{Caller, Step},
    expect::{Expect, LONG},
    suite::Make,
};

/// How often the runtime is given the chance to do what it has to do now.
const ROUNDS: usize = 32;

/// No caller is polled more often than this while it waits for one thing.
const MOST_POLLS: usize = 10_000;

/// Timers of tokio are exact to the millisecond, rounded up.
pub(super) const SLACK: Duration = Duration::from_millis(2);

/// Whether a scenario went as it should.
pub(super) type Verdict<T = ()> = Result<T, Broken>;

/// One rule on trial.
pub(super) struct Trial {
    rule: Rule,
    make: Make,
    expect: Arc<Expect>,
}

/// A new service around a new inner one.
pub(super) struct Stand {
    pub(super) script: Script,
    pub(super) expect: Arc<Expect>,
    rule: Rule,
    seed: Caller,
    what: Cell<&'static str>,
}

// === impl Trial ===

impl Trial {
    pub(super) fn new(rule: Rule, make: Make, expect: Expect) -> Self {
        let expect = Arc::new(expect);
        Self { rule, make, expect }
    }

    pub(super) fn rule(&self) -> Rule {
        self.rule
    }

    /// Plays a scenario with a new service.
    pub(super) async fn play<T>(
        &self,
        scenario: impl AsyncFnOnce(&Stand) -> Verdict<T>,
    ) -> Verdict<T> {
        let (call, script) = (self.make)();
        let stand = Stand {
            script,
            expect: self.expect.clone(),
            rule: self.rule,
            seed: Caller::new(call),
            what: Cell::new(""),
        };
        let result = scenario(&stand).await;
        stand.script.kept()?;
        result
    }
}

// === impl Stand ===

impl Stand {
    /// Says what is going on, for the message if that goes wrong.
    pub(super) fn scene(&self, what: &'static str) {
        self.what.set(what);
    }

    pub(super) fn broken(&self, what: impl AsRef<str>) -> Broken {
        self.rule_broken(self.rule, what)
    }

    pub(super) fn rule_broken(&self, rule: Rule, what: impl AsRef<str>) -> Broken {
        rule.broken(format!("{}: {}", self.what.get(), what.as_ref()))
    }

    pub(super) fn ensure(&self, holds: bool, what: impl FnOnce() -> String) -> Verdict {
        if holds {
            Ok(())
        } else {
            Err(self.broken(what()))
        }
    }

    /// A caller with a clone of the service that nobody used.
    pub(super) fn caller(&self) -> Caller {
        self.seed.split()
    }

    /// Gives the runtime the chance to do whatever it has to do now.
    pub(super) async fn calm(&self) {
        calm().await;
    }

    /// Lets so much time pass that a rate limiter has its whole budget again.
    pub(super) async fn refill(&self) {
        if let Some((_, per)) = self.expect.rate {
            sleep(per + SLACK).await;
        }
    }

    /// Polls a caller at first and whenever it is woken, until it ends or `within` is over.
    pub(super) async fn drive(&self, caller: &mut Caller, within: Duration) -> Verdict<Step> {
        let until = Instant::now() + within;
        for _ in 0..MOST_POLLS {
            if !self.woken(caller, until).await {
                return Ok(Step::Pending);
            }
            let step = caller.poll();
            if !matches!(step, Step::Pending) {
                return Ok(step);
            }
        }
        let what = format!("a caller that has to wait is woken {MOST_POLLS} times and more");
        Err(self.rule_broken(Rule::Wakers, what))
    }

    /// Whether a caller is woken before a point in time.
    pub(super) async fn woken(&self, caller: &Caller, until: Instant) -> bool {
        for _ in 0..ROUNDS {
            if caller.is_due() {
                return true;
            }
            yield_now().await;
        }
        until > Instant::now() && timeout_at(until, caller.woken()).await.is_ok()
    }

    /// As far as a caller comes now.
    pub(super) async fn at_once(&self, caller: &mut Caller) -> Verdict<Step> {
        self.drive(caller, Duration::ZERO).await
    }

    /// Drives all callers that have a reason to go on, as far as they come now; leaves
    /// those that have not ended.
    pub(super) async fn all_at_once(&self, callers: &mut Vec<Caller>) -> Verdict<Vec<Step>> {
        let mut ends = Vec::new();
        loop {
            let before = ends.len();
            let mut waiting = Vec::new();
            for mut caller in callers.drain(..) {
                match if caller.is_due() {
                    self.at_once(&mut caller).await?
                } else {
                    Step::Pending
                } {
                    Step::Pending => waiting.push(caller),
                    step => ends.push(step),
                }
            }
            *callers = waiting;
            self.calm().await;
            if ends.len() == before && !callers.iter().any(Caller::is_due) {
                return Ok(ends);
            }
        }
    }

    /// Drives a caller to its end.
    pub(super) async fn end(&self, caller: &mut Caller) -> Verdict<Step> {
        let step = self.drive(caller, LONG).await?;
        if !matches!(step, Step::Pending) {
            return Ok(step);
        }
        if let Step::Pending = caller.poll() {
            return Err(self.broken("a call never ends"));
        }
        Err(self.rule_broken(Rule::Wakers, "a caller could go on and was not woken"))
    }

    /// Drives a caller to its result.
    pub(super) async fn result(&self, caller: &mut Caller) -> Verdict<Result<(), BoxError>> {
        match self.end(caller).await? {
            Step::Done(result) => Ok(result),
            Step::Panicked(panic) => Err(self.broken(format!("the call panicked: {panic}"))),
            Step::Pending | Step::Ready | Step::Called => Err(self.broken("a call never ends")),
        }
    }

    /// Drives a caller to its answer.
    pub(super) async fn answer(&self, caller: &mut Caller) -> Verdict {
        let result = self.result(caller).await?;
        result.map_err(|error| {
            self.broken(format!("a call fails that should not: {}", chain(&*error)))
        })
    }

    /// Lets callers in until one has to wait, or is rejected, and no more than `most`.
    /// They are held by the inner service; the one that was not let in comes second.
    pub(super) async fn let_in(&self, most: usize) -> Verdict<(Vec<Caller>, Option<Caller>)> {
        self.script.always(Act::answer().held());
        let mut inside = Vec::new();
        while inside.len() < most {
            let mut caller = self.caller();
            if !self.gets_in(&mut caller).await? {
                return Ok((inside, Some(caller)));
            }
            inside.push(caller);
        }
        Ok((inside, None))
    }

    /// Whether a caller reaches the inner service now.
    pub(super) async fn gets_in(&self, caller: &mut Caller) -> Verdict<bool> {
        let before = self.script.tally().calls;
        let step = self.at_once(caller).await?;
        let got_in = self.script.tally().calls > before;
        match step {
            Step::Done(Err(error)) if got_in || !self.expect.rejects => {
                let what = format!("a call fails that should not: {}", chain(&*error));
                Err(self.broken(what))
            }
            Step::Panicked(panic) => Err(self.broken(format!("a call panicked: {panic}"))),
            _ => Ok(got_in),
        }
    }

    /// As many calls are let in as should be; afterwards none runs.
    pub(super) async fn is_whole(&self, after: &str) -> Verdict {
        let width = self.expect.width();
        let most = if self.expect.is_limited() {
            width + 1
        } else {
            width
        };
        let before = self.script.tally().running;
        let (inside, waits) = self.let_in(most).await?;
        let found = inside.len();
        drop((inside, waits));
        self.calm().await;
        self.ensure(found == width, || {
            let hint = if self.expect.is_limited() {
                ""
            } else {
                " (say so with `runs_at_most` or `admits` if that is meant)"
            };
            format!(
                "{after}, {found} calls are let in instead of {width}, {before} ran before{hint}"
            )
        })
    }
}

/// Gives the runtime the chance to do whatever it has to do now.
pub(super) async fn calm() {
    for _ in 0..ROUNDS {
        yield_now().await;
    }
}

/// All messages along a chain of causes.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<_> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}
