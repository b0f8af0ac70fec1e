//! A source that takes messages out of the table of a queue.

mod acknowledger;
mod claim;
mod message;
mod options;

use std::{collections::VecDeque, fmt, pin::Pin, sync::Arc, time::Duration};

use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use towpath_connector::Leases;
use towpath_core::{BoxError, Delivery, Intake, Lag, Origin, Peer, Producer, Received, Redelivery};
use towpath_options::InvalidOptions;

pub use acknowledger::{PostgresAcknowledger, PostgresToken};
pub use message::PostgresMessage;
pub use options::{PostgresSourceOptions, WhenDone};

use crate::PostgresError;
use acknowledger::Key;
use claim::{Claim, Claimed, Lent, Taker};

/// The shortest wait for a message that is due and that somebody else has just locked.
const SHORTEST_WAIT: Duration = Duration::from_millis(50);
/// How long a drain waits for a claim that is under way.
const DRAIN_WITHIN: Duration = Duration::from_secs(2);

type Claiming = Pin<Box<dyn Future<Output = Claimed> + Send>>;

/// Takes messages out of the table of a queue, as many as there is room for.
///
/// Each message is lent for a while; the lease is extended as long as it is worked on. What
/// is given back, and what a process that has died still had, comes again. Any number of
/// sources share a table, in any number of processes: nobody is given what somebody else has.
///
/// ```
/// use towpath::prelude::*;
/// use towpath_postgres::{PostgresMessage, PostgresSource, PostgresSourceOptions};
///
/// # fn example() -> Result<(), BoxError> {
/// let options = PostgresSourceOptions::new("postgres://localhost/shop", "jobs");
/// let source = PostgresSource::new(options)?;
/// let pipeline = Flow::from(Source::new("jobs", source))
///     .process(Processor::new("work", |job: PostgresMessage| async move {
///         println!("{:?}", job.payload);
///         Ok::<_, BoxError>(())
///     }))
///     .acknowledge();
/// # let _ = pipeline;
/// # Ok(())
/// # }
/// # example().unwrap();
/// ```
pub struct PostgresSource {
    options: Arc<PostgresSourceOptions>,
    /// Not there while a claim is under way.
    taker: Option<Taker>,
    /// What is under way outlives a call that is dropped: nothing that the server has lent is
    /// lost with it.
    claiming: Option<Claiming>,
    heard: Arc<Notify>,
    /// Received, and more than there was room for.
    ready: VecDeque<(PostgresMessage, PostgresToken, Origin)>,
    leases: Leases<Key>,
    lag: Lag,
    /// Whether the last call has failed: somebody waits to hear that all is well again.
    was_lost: bool,
}

// === impl PostgresSource ===

impl PostgresSource {
    /// A source with options.
    ///
    /// # Errors
    /// Fails with everything that is wrong with them.
    pub fn new(options: PostgresSourceOptions) -> Result<Self, InvalidOptions> {
        options.validate()?;
        let (options, lag) = (Arc::new(options), Lag::default());
        let taker = Taker::new(options.clone(), lag.clone());
        Ok(Self {
            heard: taker.heard(),
            taker: Some(taker),
            claiming: None,
            ready: VecDeque::new(),
            leases: Leases::new(options.hold_at_most),
            lag,
            was_lost: false,
            options,
        })
    }

    async fn receive_some(
        &mut self,
        intake: &mut Intake<PostgresMessage, PostgresToken>,
    ) -> Result<Received, BoxError> {
        loop {
            self.hand_out(intake);
            if !intake.is_empty() {
                return Ok(Received::More);
            }
            match self.claim(intake.room()).await? {
                Claim::Jobs(lent) => self.keep(lent),
                // With nothing to give: it tells that the server answers again.
                Claim::Nothing { .. } if self.was_lost => return Ok(Received::More),
                Claim::Nothing { next } => self.idle(next).await,
            }
        }
    }

    /// Takes what there is, up to `room`; goes on with what was begun before.
    async fn claim(&mut self, room: usize) -> Result<Claim, PostgresError> {
        if let Some(taker) = self.taker.take() {
            self.claiming = Some(Box::pin(taker.claim(room.max(1))));
        }
        self.claimed().await
    }

    /// Waits for the claim that is under way, if one is.
    async fn claimed(&mut self) -> Result<Claim, PostgresError> {
        let Some(claiming) = &mut self.claiming else {
            return Ok(Claim::Nothing { next: None });
        };
        let claimed = claiming.await;
        self.claiming = None;
        let age = claimed.taker.age();
        self.taker = Some(claimed.taker);
        match claimed.result? {
            // A pause may have come in between: what has waited for long is about to be, or
            // was already, lent to somebody else.
            Claim::Jobs(_) if age > self.options.lease / 2 => Ok(Claim::Nothing { next: None }),
            claim => Ok(claim),
        }
    }

    fn keep(&mut self, lent: Vec<Lent>) {
        let leases = &self.leases;
        self.ready.extend(lent.into_iter().map(|lent| {
            let held = leases.hold((lent.job.id, lent.lease));
            let token = PostgresToken::new(held, lent.origin.headers.clone());
            (lent.job, token, lent.origin)
        }));
    }

    fn hand_out(&mut self, intake: &mut Intake<PostgresMessage, PostgresToken>) {
        let count = intake.room().min(self.ready.len());
        for (job, token, origin) in self.ready.drain(..count) {
            intake.push(Delivery::new(job, token).with_origin(origin));
        }
    }

    /// Waits until it makes sense to look again.
    async fn idle(&mut self, next: Option<Duration>) {
        let longest = self.options.poll_interval;
        let wait = next.map_or(longest, |next| {
            next.clamp(SHORTEST_WAIT.min(longest), longest)
        });
        tokio::select! {
            () = self.heard.notified() => {}
            () = sleep(wait) => {}
        }
    }

    async fn give_back(&mut self) -> Result<(), BoxError> {
        if self.ready.is_empty() {
            return Ok(());
        }
        let keys = self.ready.drain(..).map(|(_, token, _)| token.key());
        let (ids, leases): (Vec<_>, Vec<_>) = keys.unzip();
        if let Some(taker) = &mut self.taker {
            taker.give_back(&ids, &leases).await?;
        }
        Ok(())
    }
}

impl Producer for PostgresSource {
    type Payload = PostgresMessage;
    type Acknowledger = PostgresAcknowledger;

    async fn receive(
        &mut self,
        intake: &mut Intake<PostgresMessage, PostgresToken>,
    ) -> Result<Received, BoxError> {
        let received = self.receive_some(intake).await;
        self.was_lost = received.is_err();
        received
    }

    async fn drain(
        &mut self,
        _intake: &mut Intake<PostgresMessage, PostgresToken>,
    ) -> Result<(), BoxError> {
        let claimed = timeout(DRAIN_WITHIN, self.claimed()).await;
        if let Ok(Ok(Claim::Jobs(lent))) = claimed {
            self.keep(lent);
        }
        self.claiming = None;
        self.give_back().await
    }

    fn acknowledger(&mut self) -> Option<PostgresAcknowledger> {
        let (leases, lag) = (self.leases.clone(), self.lag.clone());
        let options = self.options.clone();
        let heard = self.heard.clone();
        Some(PostgresAcknowledger::new(options, leases, lag, heard))
    }

    fn redelivery(&self) -> Redelivery {
        Redelivery::Durable
    }

    fn peer(&self) -> Peer {
        Peer::new("postgresql").destination(self.options.table.plain())
    }

    fn lag(&self) -> Option<Lag> {
        Some(self.lag.clone())
    }
}

impl fmt::Debug for PostgresSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresSource")
            .field("options", &self.options)
            .field("ready", &self.ready.len())
            .finish_non_exhaustive()
    }
}
