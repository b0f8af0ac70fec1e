//! Claims messages, and hands them out.

use std::{collections::VecDeque, future::pending, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use towpath_connector::{Leases, attempt_of};
use towpath_core::{Delivery, Intake, Lag, Origin};

use super::{SqliteMessage, SqliteSourceOptions, SqliteToken, acknowledger::tell_lag};
use crate::{
    SqliteQueue, SqliteQueueError,
    queue::{
        Reply,
        book::{AtMost, Claim, Claimed, Lent, Peeked},
    },
};

/// The first pause before looking for messages of other processes; it doubles from there.
const FIRST_PAUSE: Duration = Duration::from_millis(1);

/// What is on its way from a queue into the pipeline. All of it is kept here, so that a call
/// that is dropped loses nothing.
#[derive(Debug)]
pub(super) struct Feed {
    queue: SqliteQueue,
    options: SqliteSourceOptions,
    leases: Leases<Lent>,
    lag: Lag,
    news: watch::Receiver<u64>,
    /// Asked for, and when.
    asked: Option<(Instant, Reply<Claim>)>,
    claimed: VecDeque<Claimed>,
    /// When `claimed` was asked for: the leases began later than that.
    asked_at: Option<Instant>,
    /// What the last look said; there was nothing then.
    empty: Option<Peeked>,
    pause: Duration,
}

impl Feed {
    pub(super) fn new(
        queue: SqliteQueue,
        options: SqliteSourceOptions,
        leases: Leases<Lent>,
        lag: Lag,
    ) -> Self {
        Self {
            news: queue.news(),
            queue,
            options,
            leases,
            lag,
            asked: None,
            claimed: VecDeque::new(),
            asked_at: None,
            empty: None,
            pause: FIRST_PAUSE,
        }
    }

    /// Waits for messages, and hands out up to as many as there is room for.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn receive(
        &mut self,
        intake: &mut Intake<SqliteMessage, SqliteToken>,
    ) -> Result<(), SqliteQueueError> {
        loop {
            self.let_go_of_old().await?;
            if self.hand_out(intake) > 0 || intake.room() == 0 {
                return Ok(());
            }
            if let Some(peeked) = self.empty {
                self.wait(peeked).await?;
            }
            self.claim(intake.room()).await?;
        }
    }

    fn hand_out(&mut self, intake: &mut Intake<SqliteMessage, SqliteToken>) -> usize {
        let count = intake.room().min(self.claimed.len());
        for message in self.claimed.drain(..count) {
            intake.push(delivery(message, self.queue.name(), &self.leases));
        }
        count
    }

    /// Asks for messages, unless that was done, and takes those that come.
    async fn claim(&mut self, room: usize) -> Result<(), SqliteQueueError> {
        if self.asked.is_none() {
            let _ = self.news.borrow_and_update();
            let now = Instant::now();
            let at_most = AtMost {
                messages: room,
                bytes: self.options.max_claim_bytes,
            };
            let reply = self.queue.claim(at_most, self.options.lease).await?;
            self.asked = Some((now, reply));
        }
        if let Some((at, reply)) = &self.asked {
            let (at, claim) = (*at, reply.taken().await);
            self.asked = None;
            self.take(at, claim?);
        }
        Ok(())
    }

    fn take(&mut self, asked_at: Instant, claim: Claim) {
        tell_lag(&self.lag, claim.peeked.depth, &self.leases);
        if claim.messages.is_empty() {
            self.empty = Some(claim.peeked);
            return;
        }
        self.pause = FIRST_PAUSE;
        self.claimed.extend(claim.messages);
        self.asked_at = Some(asked_at);
    }

    /// Waits until there may be something to claim: it was put in through this handle, or its
    /// time has come, or another process has put it in.
    async fn wait(&mut self, mut peeked: Peeked) -> Result<(), SqliteQueueError> {
        while !peeked.is_due() {
            let pause = peeked
                .next_in
                .map_or(self.pause, |next| next.min(self.pause));
            tokio::select! {
                biased;
                () = changed(&mut self.news) => break,
                () = sleep(pause) => {}
            }
            self.pause = (self.pause * 2).min(self.options.poll_every);
            peeked = self.queue.peek().await?;
            tell_lag(&self.lag, peeked.depth, &self.leases);
            self.empty = Some(peeked);
        }
        self.empty = None;
        Ok(())
    }

    /// What waited here so long that its lease may be over is let go: others may have it.
    /// A lease is extended from the moment on at which a message is handed out.
    async fn let_go_of_old(&mut self) -> Result<(), SqliteQueueError> {
        let half = self.options.lease / 2;
        if self.asked_at.is_some_and(|at| at.elapsed() > half) && !self.claimed.is_empty() {
            self.release().await?;
        }
        Ok(())
    }

    /// Dropped half way, the leases run out.
    async fn release(&mut self) -> Result<(), SqliteQueueError> {
        let claimed = self.claimed.drain(..).collect();
        self.queue.release(claimed).await
    }

    /// Gives back what nobody has been handed.
    pub(super) async fn give_back(&mut self) -> Result<(), SqliteQueueError> {
        if let Some((at, reply)) = self.asked.take() {
            let claim = reply.wait().await?;
            self.take(at, claim);
        }
        if !self.claimed.is_empty() {
            self.release().await?;
        }
        Ok(())
    }
}

/// Resolves when something was put in through the same handle.
async fn changed(news: &mut watch::Receiver<u64>) {
    if news.changed().await.is_err() {
        // The thread is gone: the next look says so.
        pending::<()>().await;
    }
}

fn delivery(
    message: Claimed,
    name: &str,
    leases: &Leases<Lent>,
) -> Delivery<SqliteMessage, SqliteToken> {
    let id = message.lent.id.try_into().unwrap_or(0);
    let origin = Origin::default()
        .identified(format!("{name}-{id}"))
        .at(id)
        .attempt(attempt_of(&message.headers, message.attempts))
        .headers(message.headers);
    let token = SqliteToken(leases.hold(message.lent));
    let queued = SqliteMessage {
        id,
        key: message.key,
        payload: message.payload,
    };
    Delivery::new(queued, token).with_origin(origin)
}
