//! What a call may have to wait for, how to bring that about, and how to end it.

use std::time::Duration;

use crate::layer::{
    Act,
    caller::{Caller, Step},
    expect::Expect,
    trial::{Stand, Verdict},
};

/// What a call may have to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    InnerReadiness,
    InnerAnswer,
    Place,
    Budget,
    Opening,
    Backoff,
    Timeout,
    Hedge,
}

/// A caller that waits, and those that are in its way.
pub(super) struct Waiting {
    pub(super) caller: Caller,
    pub(super) inside: Vec<Caller>,
}

// === impl Wait ===

impl Wait {
    pub(super) const ALL: [Self; 8] = [
        Self::InnerReadiness,
        Self::InnerAnswer,
        Self::Place,
        Self::Budget,
        Self::Opening,
        Self::Backoff,
        Self::Timeout,
        Self::Hedge,
    ];

    /// Those at which several callers wait for the same thing.
    pub(super) const DOORS: [Self; 3] = [Self::Place, Self::Budget, Self::Opening];

    pub(super) fn scene(self) -> &'static str {
        match self {
            Self::InnerReadiness => "a call waits until the inner service is ready",
            Self::InnerAnswer => "a call waits for the answer of the inner service",
            Self::Place => "a call waits until fewer run",
            Self::Budget => "a call waits until the rate allows it",
            Self::Opening => "a call waits while none is let in, after failures",
            Self::Backoff => "a call waits before it is tried again",
            Self::Timeout => "a call waits until it has taken too long",
            Self::Hedge => "a call waits until it is sent a second time",
        }
    }

    /// Whether the layer makes calls wait for this.
    pub(super) fn applies(self, expect: &Expect) -> bool {
        let rate = expect.rate.map_or(usize::MAX, |(admitted, _)| admitted);
        let at_most = expect.at_most.unwrap_or(usize::MAX);
        match self {
            Self::InnerReadiness | Self::InnerAnswer => true,
            Self::Place => at_most < rate,
            Self::Budget => rate < at_most,
            Self::Opening => expect.opens.is_some(),
            Self::Backoff => expect.attempts > 1,
            Self::Timeout => expect.timeout.is_some(),
            Self::Hedge => expect.hedge.is_some(),
        }
    }

    /// How much time has to pass until the wait is over; nothing, when something has to
    /// happen instead.
    pub(super) fn lasts(self, expect: &Expect) -> Duration {
        match self {
            Self::InnerReadiness | Self::InnerAnswer | Self::Place => Duration::ZERO,
            Self::Budget => expect.rate.map_or(Duration::ZERO, |(_, per)| per),
            Self::Opening => expect.opens.map_or(Duration::ZERO, |(_, lasting)| lasting),
            Self::Backoff => expect.longest_backoff(),
            Self::Timeout => expect.timeout.unwrap_or_default(),
            Self::Hedge => expect.hedge.unwrap_or_default(),
        }
    }

    /// Makes a caller wait; `None` where the layer rejects it instead, or has nothing to
    /// wait for.
    pub(super) async fn begin(self, stand: &Stand) -> Verdict<Option<Waiting>> {
        stand.scene(self.scene());
        let inside = self.prepare(stand).await?;
        let mut caller = stand.caller();
        let before = stand.script.tally().calls;
        let step = stand.at_once(&mut caller).await?;
        let got_in = stand.script.tally().calls > before;
        match step {
            Step::Pending => Ok(Some(Waiting { caller, inside })),
            Step::Done(Err(_)) if stand.expect.rejects && !got_in => Ok(None),
            Step::Done(Ok(())) if self == Self::Backoff => Ok(None),
            step => Err(stand.broken(format!("it does not have to wait: {step:?}"))),
        }
    }

    async fn prepare(self, stand: &Stand) -> Verdict<Vec<Caller>> {
        let script = &stand.script;
        script.always(Act::answer().held());
        match self {
            Self::InnerAnswer | Self::Timeout | Self::Hedge => {}
            Self::InnerReadiness => script.withhold(),
            Self::Backoff => {
                script.always(Act::answer());
                script.next([Act::fail()]);
            }
            Self::Place | Self::Budget => return self.fill(stand).await,
            Self::Opening => fail_until_open(stand).await?,
        }
        Ok(Vec::new())
    }

    /// Lets in as many as there is room for.
    async fn fill(self, stand: &Stand) -> Verdict<Vec<Caller>> {
        let width = stand.expect.width();
        let (inside, _) = stand.let_in(width).await?;
        let found = inside.len();
        stand.ensure(found == width, || {
            format!("{found} calls are let in before, instead of {width}")
        })?;
        Ok(inside)
    }

    /// Lets happen what the caller waits for, if it is not the time that passes.
    pub(super) async fn happen(self, stand: &Stand, inside: &mut Vec<Caller>) -> Verdict {
        match self {
            Self::InnerReadiness => stand.script.open(),
            Self::InnerAnswer => stand.script.release_all(),
            Self::Place => {
                stand.script.release_one();
                stand.all_at_once(inside).await?;
            }
            Self::Budget | Self::Opening | Self::Backoff | Self::Timeout | Self::Hedge => {}
        }
        Ok(())
    }
}

/// A call may wait itself once none is let in, to be tried again: it is dropped then.
async fn fail_until_open(stand: &Stand) -> Verdict {
    let (failures, lasting) = stand.expect.opens.unwrap_or_default();
    stand.script.always(Act::fail());
    for _ in 0..failures {
        let step = stand.drive(&mut stand.caller(), lasting / 4).await?;
        match step {
            Step::Pending => break,
            Step::Done(Ok(())) if !stand.expect.answers_errors => {
                return Err(stand.broken("the call succeeds although the inner service fails"));
            }
            _ => {}
        }
    }
    stand.script.always(Act::answer());
    Ok(())
}
