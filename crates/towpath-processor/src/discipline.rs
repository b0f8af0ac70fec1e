//! In which order a worker starts its messages and hands on their results.

mod lanes;
mod ordered;
mod unordered;

use std::collections::VecDeque;

use towpath_core::{FailureRoute, Message, Receipt};

pub use lanes::{ByKey, LaneHalted, Lanes};
pub use ordered::{Ordered, Reorder};
pub use unordered::Unordered;

/// What a worker asks before it starts a message and when one has ended.
///
/// `T` enters, `R` is the response that leaves.
pub trait Discipline<T, R>: Send + 'static {
    /// Ties a response to its place.
    type Ticket: Send + 'static;

    /// Whether a message may be started now; sets those aside that may not.
    fn has_next(&mut self, inbox: &mut VecDeque<Message<T>>, failures: &mut FailureRoute) -> bool;

    /// Takes the message that may be started.
    fn next(&mut self, inbox: &mut VecDeque<Message<T>>) -> Option<(Message<T>, Self::Ticket)>;

    /// A call has ended, with a response or (a failure, settled elsewhere) without.
    /// `emit` gets what may be handed on now.
    fn finish(
        &mut self,
        ticket: Self::Ticket,
        response: Option<(R, Receipt)>,
        failures: &mut FailureRoute,
        emit: &mut impl FnMut(R, Receipt),
    );

    /// Messages that wait inside: finished ones for their turn, others for their lane.
    fn waiting(&self) -> usize;

    /// Finished messages that wait for their turn: they count against the limit.
    fn untaken(&self) -> usize {
        0
    }

    /// Responses among them: messages that would go on.
    fn results(&self) -> usize {
        0
    }
}

/// Makes the discipline of each worker of a stage.
pub trait Order<T, R>: Send + Sync + 'static {
    /// The discipline.
    type Discipline: Discipline<T, R>;

    /// The discipline of one worker.
    fn discipline(&self) -> Self::Discipline;

    /// Whether several workers keep the promise too; otherwise the stage has one.
    fn spreads(&self) -> bool;

    /// A word for the topology.
    fn word(&self) -> &'static str;

    /// How many messages may wait in lanes.
    fn parking(&self) -> usize {
        0
    }
}
