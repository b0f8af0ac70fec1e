//! The switch in front of the sources of a pipeline: running, paused, stopping.

use std::{future::poll_fn, mem, pin::pin, task::Poll};

use tokio::sync::watch;

/// Whether sources are asked for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// They are.
    Running,
    /// Not for now.
    Paused,
    /// Never again.
    Stopping,
}

/// The hand on the switch.
#[derive(Clone, Debug)]
pub struct Gate(watch::Sender<Flow>);

/// The eye on the switch, one for each source.
#[derive(Clone, Debug)]
pub struct GateView(watch::Receiver<Flow>);

impl Default for Gate {
    fn default() -> Self {
        Self(watch::Sender::new(Flow::Running))
    }
}

impl Gate {
    /// Turns the switch; a stopping pipeline stays so. Whether anything changed.
    pub fn set(&self, flow: Flow) -> bool {
        self.0.send_if_modified(|now| {
            let turns = *now != flow && *now != Flow::Stopping;
            if turns {
                *now = flow;
            }
            turns
        })
    }

    /// How the switch stands.
    pub fn get(&self) -> Flow {
        *self.0.borrow()
    }

    /// An eye on the switch.
    pub fn view(&self) -> GateView {
        GateView(self.0.subscribe())
    }
}

impl GateView {
    /// Waits until sources are asked again; `false` when they never will be.
    pub(crate) async fn open(&mut self) -> bool {
        let flow = self.0.wait_for(|flow| *flow != Flow::Paused).await;
        flow.is_ok_and(|flow| *flow == Flow::Running)
    }

    /// What `work` comes to while sources are asked; `None` when they no longer are.
    pub(crate) async fn while_open<W: Future>(&mut self, work: W) -> Option<W::Output> {
        let mut work = pin!(work);
        if *self.0.borrow() != Flow::Running {
            return None;
        }
        let mut closed = pin!(self.closed());
        let mut watched = false;
        poll_fn(|cx| {
            if watched && closed.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            if let Poll::Ready(result) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(result));
            }
            // Only now: what is there at once does not pay for a watch on the gate.
            if !mem::replace(&mut watched, true) && closed.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            Poll::Pending
        })
        .await
    }

    /// Waits until sources are no longer asked.
    pub(crate) async fn closed(&mut self) {
        // An error means that the hand is gone, and with it the pipeline.
        drop(self.0.wait_for(|flow| *flow != Flow::Running).await);
    }

    /// Waits until the pipeline stops.
    pub async fn stopping(&mut self) {
        drop(self.0.wait_for(|flow| *flow == Flow::Stopping).await);
    }
}
