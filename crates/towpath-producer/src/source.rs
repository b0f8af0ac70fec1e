//! A producer as a stage: asked only for what somebody can take.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio::time::sleep;
use towpath_core::{
    BoxError, Delivered, EventKind, FailureContext, Intake, Lag, Lease, Message, Originals, Outlet,
    Panicked, Peer, Permanent, Producer, Reach, Received, Redelivery, Settlement, Shelf, StageInfo,
    StageName, StageStats, Token, Work, find, port, trace::Arrival,
};

use crate::{
    gate::GateView,
    settle::{SettleStats, Teller},
    table::TokenTable,
};

/// The first pause after a source that failed; it doubles up to ten seconds.
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const MAX_BACKOFF: Duration = Duration::from_secs(10);
/// How many messages of one source may be unsettled or untold, unless said otherwise.
const MAX_OUTSTANDING: usize = 65_536;

type Keep<P> = fn(&mut dyn Iterator<Item = &P>) -> Box<dyn Originals>;

/// A producer with its name.
///
/// ```
/// use towpath_producer::Source;
///
/// let numbers = Source::iter("numbers", 0..10).keep_original();
/// # let _ = numbers;
/// ```
pub struct Source<P: Producer> {
    name: StageName,
    producer: Shelf<P>,
    keep: Option<Keep<P::Payload>>,
    max_outstanding: usize,
    redelivery: Redelivery,
    settlement: Settlement,
    peer: Peer,
    lag: Option<Lag>,
    reach: Reach,
}

/// What a source needs of its pipeline.
#[derive(Clone)]
pub struct SourceContext {
    /// Name, accounts and observer.
    pub failures: FailureContext,
    /// Whether to ask for more.
    pub gate: GateView,
    /// The most messages in flight over the whole pipeline.
    pub budget: u64,
    /// What the source counts.
    pub stats: Arc<StageStats>,
    /// How the source took its outcomes.
    pub settled: Arc<SettleStats>,
    /// Whether the source can be reached.
    pub reach: Reach,
    /// How long closing the source may take.
    pub close_within: Duration,
    /// Whether originals are kept, which only a dead-letter route needs.
    pub keeps_originals: bool,
    /// Told when the source can never go on.
    pub failed: Arc<dyn Fn(StageName, BoxError) + Send + Sync>,
}

/// The tasks of a source: one receives, one tells the outcomes.
pub struct SourceWorks {
    /// Makes the receiving task, again after a restart.
    pub receive: Box<dyn Fn() -> Work + Send + Sync>,
    /// Makes the telling task, where the source wants to know.
    pub tell: Option<Box<dyn Fn() -> Work + Send + Sync>>,
    /// Says that nothing more is received, when the receiving task was ended from outside.
    pub close: Box<dyn Fn() + Send + Sync>,
    /// Says that nobody waits any more for the outcomes that are not told yet.
    pub give_up: Box<dyn Fn() + Send + Sync>,
}

impl<P: Producer> Source<P> {
    /// Names a producer.
    pub fn new(name: impl Into<StageName>, producer: P) -> Self {
        Self {
            name: name.into(),
            redelivery: producer.redelivery(),
            peer: producer.peer(),
            lag: producer.lag(),
            reach: producer.reach().unwrap_or_default(),
            settlement: producer.settlement(),
            producer: Shelf::new(producer),
            keep: None,
            max_outstanding: MAX_OUTSTANDING,
        }
    }

    /// Keeps each payload as it left the source, for its dead letter.
    ///
    /// Costs a clone per message, and only where the pipeline has a dead-letter route.
    #[must_use]
    pub fn keep_original(mut self) -> Self
    where
        P::Payload: Clone + serde::Serialize + Sync,
    {
        self.keep = Some(|payloads| Box::new(payloads.cloned().collect::<Vec<_>>()));
        self
    }

    /// Lets at most `messages` be unsettled, or settled and not yet told to the source.
    #[must_use]
    pub fn max_outstanding(mut self, messages: NonZeroUsize) -> Self {
        self.max_outstanding = messages.get();
        self
    }

    /// Name and shape, for the topology.
    pub fn info(&self) -> StageInfo {
        StageInfo::new(self.name.clone(), "source")
    }

    /// Whether what is given back comes again.
    pub fn redelivery(&self) -> Redelivery {
        self.redelivery
    }

    /// Whether messages are settled one by one or up to a position.
    pub fn settlement(&self) -> Settlement {
        self.settlement
    }

    /// Where the source says how many messages wait in it.
    pub fn lag(&self) -> Option<Lag> {
        self.lag.clone()
    }

    /// Where it is noted whether the source can be reached.
    pub fn reach(&self) -> Reach {
        self.reach.clone()
    }

    /// Gets the producer ready and makes its tasks; `outlet` makes an outlet for each start.
    ///
    /// # Errors
    /// Fails when a local resource of the producer is missing.
    pub async fn start(
        self,
        context: SourceContext,
        outlet: towpath_core::Ends<dyn Outlet<Message<P::Payload>>>,
    ) -> Result<SourceWorks, BoxError> {
        let table = TokenTable::<P::Acknowledger>::new();
        let acknowledger = match self.producer.take() {
            Some(mut producer) => {
                producer.open().await?;
                producer.acknowledger()
            }
            None => None,
        };
        let told = acknowledger.is_some();
        let tell = acknowledger.map(|acknowledger| {
            self.teller(Shelf::new(acknowledger), table.clone(), context.clone())
        });
        let close = Box::new({
            let table = table.clone();
            move || table.close()
        });
        let give_up = Box::new({
            let table = table.clone();
            move || table.give_up()
        });
        let receive = Box::new(move || {
            let Some(producer) = self.producer.take() else {
                return Box::pin(async {}) as Work;
            };
            let receiving = Receiving {
                name: self.name.clone(),
                producer,
                keep: self.keep.filter(|_| context.keeps_originals),
                max_outstanding: self.max_outstanding,
                table: told.then(|| table.clone()),
                context: context.clone(),
                outlet: outlet(),
                intake: Intake::new(),
                ready: VecDeque::new(),
                peer: self.peer.clone(),
                asked_at: Duration::ZERO,
                came_at: Duration::ZERO,
            };
            Box::pin(receiving.run()) as Work
        });
        Ok(SourceWorks {
            receive,
            tell,
            close,
            give_up,
        })
    }

    fn teller(
        &self,
        acknowledger: Shelf<P::Acknowledger>,
        table: Arc<TokenTable<P::Acknowledger>>,
        context: SourceContext,
    ) -> Box<dyn Fn() -> Work + Send + Sync> {
        let stage = self.name.clone();
        Box::new(move || {
            let Some(acknowledger) = acknowledger.take() else {
                return Box::pin(async {});
            };
            let teller = Teller {
                stage: stage.clone(),
                acknowledger,
                table: table.clone(),
                stats: context.settled.clone(),
                context: context.failures.clone(),
                extend_at: None,
                close_within: context.close_within,
            };
            Box::pin(teller.run())
        })
    }
}

/// The receiving task of a source.
struct Receiving<P: Producer> {
    name: StageName,
    producer: Lease<P>,
    keep: Option<Keep<P::Payload>>,
    max_outstanding: usize,
    table: Option<Arc<TokenTable<P::Acknowledger>>>,
    context: SourceContext,
    outlet: Box<dyn Outlet<Message<P::Payload>>>,
    intake: Intake<P::Payload, Token<P>>,
    ready: VecDeque<Message<P::Payload>>,
    /// What the traces say of the last call of the producer.
    peer: Peer,
    asked_at: Duration,
    came_at: Duration,
}

/// How one call of the producer ended.
enum Turn {
    Received(Received),
    Closed,
    Failed(BoxError),
}

impl<P: Producer> Receiving<P> {
    async fn run(mut self) {
        let mut backoff = FIRST_BACKOFF;
        while let Some(room) = self.wait_for_demand().await {
            match self.turn(room).await {
                Turn::Received(received) => {
                    backoff = FIRST_BACKOFF;
                    self.context.reach.answered();
                    self.emit().await;
                    if received == Received::End {
                        break;
                    }
                }
                Turn::Closed => self.emit().await,
                Turn::Failed(error) => {
                    self.context.reach.failed(&error.to_string());
                    self.emit().await;
                    if find::<Permanent>(&*error).is_some() {
                        (self.context.failed)(self.name.clone(), error);
                        break;
                    }
                    self.back_off(&error, backoff).await;
                    backoff = (backoff * 2).min(MAX_BACKOFF);
                }
            }
        }
        self.drain().await;
    }

    /// Waits until somebody can take more; `None` when the pipeline stops.
    async fn wait_for_demand(&mut self) -> Option<usize> {
        loop {
            let outlet = &mut *self.outlet;
            if !beside(self.context.gate.open(), outlet).await {
                return None;
            }
            let limit = self.context.budget.saturating_sub(1);
            let (table, ledger) = (&self.table, &self.context.failures.ledger);
            let demand = async {
                let allowed = async {
                    poll_fn(|cx| ledger.poll_at_most(limit, cx)).await;
                    match table {
                        Some(table) => table.room(self.max_outstanding).await,
                        None => usize::MAX,
                    }
                };
                let untold = beside(allowed, outlet).await;
                poll_fn(|cx| outlet.poll_room(cx)).await.min(untold)
            };
            if let Some(room) = self.context.gate.while_open(demand).await {
                return (room > 0).then_some(room);
            }
        }
    }

    async fn turn(&mut self, room: usize) -> Turn {
        self.asked_at = self.time_for_traces();
        let in_flight = self.context.failures.ledger.in_flight();
        let left = self.context.budget.saturating_sub(in_flight).max(1);
        self.intake
            .ask(room.min(usize::try_from(left).unwrap_or(usize::MAX)));
        let receiving = AssertUnwindSafe(self.producer.receive(&mut self.intake)).catch_unwind();
        let receiving = beside(receiving, &mut *self.outlet);
        let received = self.context.gate.while_open(receiving).await;
        self.came_at = self.time_for_traces();
        match received {
            Some(Ok(Ok(received))) => Turn::Received(received),
            Some(Ok(Err(error))) => Turn::Failed(error),
            Some(Err(panic)) => Turn::Failed(Panicked::from_payload(panic).into()),
            None => Turn::Closed,
        }
    }

    /// The time, where somebody traces: nobody else wants to know.
    fn time_for_traces(&self) -> Duration {
        let failures = &self.context.failures;
        let tracer = failures.tracer.as_ref();
        tracer.map_or(Duration::ZERO, |_| failures.ledger.now())
    }

    /// Sends what was received, as messages with receipts.
    async fn emit(&mut self) {
        while !self.intake.is_empty() || !self.ready.is_empty() {
            let room = poll_fn(|cx| self.outlet.poll_room(cx)).await;
            if self.ready.is_empty() {
                self.receipt_in_budget(room.max(1)).await;
            }
            if room == 0 {
                self.ready.clear();
            }
            self.outlet.accept(&mut self.ready);
            self.outlet.flush();
        }
        tokio::task::coop::consume_budget().await;
    }

    /// As [`receipt`](Self::receipt), once the budget has room. What was received by several
    /// sources at once, or pushed beyond the demand, waits for it here.
    async fn receipt_in_budget(&mut self, count: usize) {
        let budget = self.context.budget;
        if budget == u64::MAX {
            return self.receipt(count, true);
        }
        let ledger = self.context.failures.ledger.clone();
        while self.ready.is_empty() {
            let room = poll_fn(|cx| ledger.poll_at_most(budget.saturating_sub(1), cx));
            beside(room, &mut *self.outlet).await;
            ledger.within_budget(budget, |left| {
                let left = usize::try_from(left).unwrap_or(usize::MAX);
                self.receipt(count.min(left), true);
            });
        }
    }

    /// Makes messages of up to `count` of what was received, to be sent or given back.
    fn receipt(&mut self, count: usize, sent: bool) {
        let count = count.min(self.intake.len());
        if count == 0 {
            return;
        }
        let payloads = self.intake.payloads();
        // A payload that panics when cloned goes on, without an original for its letter.
        let originals = self.keep.and_then(|keep| {
            catch_unwind(AssertUnwindSafe(|| keep(&mut payloads.take(count)))).ok()
        });
        let (table, ledger) = (&self.table, &self.context.failures.ledger);
        let settled = &self.context.settled;
        let tracer = self.context.failures.tracer.as_ref().filter(|_| sent);
        let arrival = Arrival::new(&self.name, &self.peer, self.asked_at, self.came_at);
        self.intake
            .take_into(count, &mut self.ready, |tokens, origins| {
                settled.add_redelivered(&origins);
                let begun = tracer.map_or_else(Vec::new, |tracer| {
                    let count = u32::try_from(count).unwrap_or(u32::MAX);
                    tracer.begin(&arrival.deliveries(count, &origins))
                });
                let delivered = Delivered::new(ledger.clone())
                    .with_origins(origins)
                    .with_originals(originals)
                    .traced(begun);
                let delivered = if sent { delivered } else { delivered.unsent() };
                let Some(table) = table else {
                    return delivered;
                };
                let chunk = table.keep(tokens);
                delivered.settled_by(table.clone(), chunk)
            });
        self.context.stats.add_sent(count);
    }

    async fn back_off(&mut self, error: &BoxError, backoff: Duration) {
        let failures = &self.context.failures;
        let kind = EventKind::SourceFailed {
            error: error.to_string(),
            retry_in: backoff,
        };
        failures.tell(&self.name, kind);
        let pause = async {
            tokio::select! {
                () = self.context.gate.stopping() => {}
                () = sleep(backoff) => {}
            }
        };
        beside(pause, &mut *self.outlet).await;
    }

    /// Sends what the producer still wants to go through, and closes the books.
    async fn drain(&mut self) {
        self.intake.ask(usize::MAX);
        let draining = AssertUnwindSafe(self.producer.drain(&mut self.intake)).catch_unwind();
        let error = match beside(draining, &mut *self.outlet).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error),
            Err(panic) => Some(Panicked::from_payload(panic).into()),
        };
        if let Some(error) = error {
            self.context.reach.failed(&error.to_string());
            self.back_off(&error, Duration::ZERO).await;
        }
        self.emit().await;
        port::drained(&mut *self.outlet).await;
        if let Some(table) = &self.table {
            table.close();
        }
    }
}

/// Waits for `work`, and moves on meanwhile what the outlet still holds: a message that
/// waits for its branch must not wait for the next message too.
async fn beside<I, W: Future>(work: W, outlet: &mut dyn Outlet<I>) -> W::Output {
    let mut work = pin!(work);
    let mut holds = true;
    poll_fn(|cx| {
        let polled = work.as_mut().poll(cx);
        if holds && polled.is_pending() {
            holds = outlet.poll_drained(cx).is_pending();
        }
        polled
    })
    .await
}

impl<P: Producer> Drop for Receiving<P> {
    /// However the task ended: what was received and not sent goes back to the source.
    fn drop(&mut self) {
        let ledger = self.context.failures.ledger.clone();
        ledger.within_budget(u64::MAX, |_| {
            self.receipt(self.intake.len(), false);
            self.ready.clear();
        });
    }
}

impl<P: Producer> fmt::Debug for Source<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SourceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceContext")
            .field("failures", &self.failures)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SourceWorks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceWorks").finish_non_exhaustive()
    }
}
