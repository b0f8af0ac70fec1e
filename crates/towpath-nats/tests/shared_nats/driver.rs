//! A source without an engine, in the hands of a test.

use std::time::Duration;

use tokio::time::timeout;
use towpath::{
    BoxError, Origin, Outcome,
    core::{Acknowledger, Intake, Producer, Settled},
};
use towpath_nats::{
    JetStreamAcknowledger, JetStreamMessage, JetStreamSource, JetStreamSourceOptions,
    JetStreamToken,
};

/// Nothing takes longer, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Driver {
    pub(crate) source: JetStreamSource,
    pub(crate) acknowledger: JetStreamAcknowledger,
    intake: Intake<JetStreamMessage, JetStreamToken>,
}

/// A delivery, and what settles it.
pub(crate) struct Came {
    pub(crate) message: JetStreamMessage,
    pub(crate) origin: Origin,
    pub(crate) token: JetStreamToken,
}

pub(crate) type Run = Vec<(JetStreamToken, Outcome)>;

impl Driver {
    pub(crate) fn new(options: JetStreamSourceOptions) -> Self {
        let mut source = JetStreamSource::new(options).unwrap();
        let acknowledger = source.acknowledger().unwrap();
        Self {
            source,
            acknowledger,
            intake: Intake::new(),
        }
    }

    /// One call of `receive`, for up to so many.
    pub(crate) async fn receive(&mut self, demand: usize) -> Result<Vec<Came>, BoxError> {
        self.intake.ask(demand);
        let receiving = timeout(PATIENCE, self.source.receive(&mut self.intake));
        let received = receiving.await.expect("receive does not hang");
        let _more = received?;
        Ok(self.take())
    }

    /// Receives until there are so many.
    pub(crate) async fn receive_all(&mut self, count: usize) -> Vec<Came> {
        let mut came = Vec::new();
        while came.len() < count {
            came.extend(self.receive(count - came.len()).await.unwrap());
        }
        came
    }

    /// A call that is dropped when it has to wait for longer; nothing came in time.
    pub(crate) async fn receive_within(&mut self, demand: usize, time: Duration) -> Vec<Came> {
        self.intake.ask(demand);
        let receiving = timeout(time, self.source.receive(&mut self.intake));
        let _dropped = receiving.await;
        self.take()
    }

    pub(crate) async fn drain(&mut self) {
        let draining = timeout(PATIENCE, self.source.drain(&mut self.intake));
        draining.await.expect("drain does not hang").unwrap();
    }

    pub(crate) async fn settle(&mut self, run: &mut Run) -> Result<Settled, BoxError> {
        let settling = timeout(PATIENCE, self.acknowledger.settle(run));
        settling.await.expect("settle does not hang")
    }

    /// Settles one message by the outcome; the server confirms it.
    pub(crate) async fn confirm(&mut self, came: Came, outcome: Outcome) {
        let settled = self.settle(&mut vec![(came.token, outcome)]).await.unwrap();
        assert_eq!(settled, Settled::confirmed(1));
    }

    fn take(&mut self) -> Vec<Came> {
        let (payloads, tokens, origins) = self.intake.take(usize::MAX);
        let with_tokens = payloads.zip(tokens).zip(origins);
        let came = |((message, token), origin)| Came {
            message,
            origin,
            token,
        };
        with_tokens.map(came).collect()
    }
}

impl Came {
    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.message.payload).unwrap()
    }
}

pub(crate) fn texts(came: &[Came]) -> Vec<&str> {
    came.iter().map(Came::text).collect()
}
