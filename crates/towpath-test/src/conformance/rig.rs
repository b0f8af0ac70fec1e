//! What a connector brings along to be tested.

use towpath::{
    BoxError, Sink,
    core::{Producer, SinkPromise},
};

use super::{Parcel, SinkPromises, SourcePromises};

/// What sources and sinks have in common: a place in a system, and the server of it.
///
/// Each rule gets a rig of its own, made by the function that the macro was given. A rig
/// owns its server, or shares one with others while it says that it has
/// [none](Self::has_server) to kill.
///
/// Methods that are not async may block: they are called where that holds nobody up.
pub trait Rig: Send + Sync + 'static {
    /// Makes a fresh queue, stream, topic or table, empty and with no position in it, and
    /// tells its name. What consumers share (a durable consumer, a group) is made here too,
    /// or by the source when it starts.
    ///
    /// # Errors
    /// Fails the rule as a fault of the rig.
    fn place(&self) -> impl Future<Output = Result<String, BoxError>> + Send;

    /// Which clock the rules run on: [`Clock::Real`] for whatever has a server, threads or
    /// files.
    fn clock(&self) -> Clock {
        Clock::Real
    }

    /// Whether there is a server that the rule may kill. Without one, the rules that kill
    /// it pass unseen: say so only where there is none, as with a file.
    fn has_server(&self) -> bool {
        true
    }

    /// Kills the server without warning: SIGKILL. Its data stay.
    fn kill(&self) {}

    /// Starts the server again where it was, with its data; returns when it answers.
    ///
    /// # Errors
    /// Fails the rule as a fault of the rig.
    fn restart(&self) -> Result<(), BoxError> {
        Ok(())
    }

    /// Stops the server without ending it, so that it holds its connections and answers
    /// nobody: SIGSTOP. `false` where that cannot be done.
    fn freeze(&self) -> bool {
        false
    }

    /// Lets the server go on: SIGCONT.
    fn thaw(&self) {}

    /// Words that no error may show: passwords and tokens in the options of this rig.
    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A source under test. Its documentation is the one of [the module](super).
pub trait SourceRig: Rig {
    /// The source.
    type Source: Producer;

    /// What the source promises, beside the rules that hold for all.
    fn promises(&self) -> SourcePromises;

    /// The source over a place, as one member of its group: members are numbered from 0,
    /// and two of the same number never live at once. All members share the work.
    fn source(&self, place: &str, member: usize) -> Self::Source;

    /// What a payload of the source holds: key and bytes. Headers are read from its origin.
    fn parcel(payload: &<Self::Source as Producer>::Payload) -> Parcel;

    /// Puts parcels in, in this order, by a client that has nothing to do with the
    /// connector; returns when the server has confirmed them.
    ///
    /// # Errors
    /// Fails the rule as a fault of the rig.
    fn put(
        &self,
        place: &str,
        parcels: Vec<Parcel>,
    ) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// How many messages the server still holds that are not done, for the group of the
    /// source: those that wait, those that are delayed and those that some consumer has. By
    /// an independent client.
    ///
    /// # Errors
    /// Is asked again until a deadline: a server that was just started may not know yet.
    fn outstanding(&self, place: &str) -> impl Future<Output = Result<u64, BoxError>> + Send;

    /// How many of the [outstanding](Self::outstanding) ones the server has handed to
    /// consumers: unacknowledged, leased, locked. `None` where it does not know.
    ///
    /// # Errors
    /// As [`outstanding`](Self::outstanding).
    fn claimed(&self, _place: &str) -> impl Future<Output = Result<Option<u64>, BoxError>> + Send {
        async { Ok(None) }
    }
}

/// A sink under test.
pub trait SinkRig: Rig {
    /// What the sink writes.
    type Item: Clone + Send + Sync + 'static;
    /// The sink.
    type Sink: Sink<Self::Item> + Clone;

    /// What the sink promises, beside the rules that hold for all.
    fn promises(&self) -> SinkPromises;

    /// An item of the sink that holds the parcel: key, payload and headers.
    fn item(parcel: Parcel) -> Self::Item;

    /// An item that the system refuses for what is in it, as a row that breaks a
    /// constraint; `None` where there is no such thing.
    fn refused(&self) -> Option<Self::Item> {
        None
    }

    /// The sink over a place.
    fn sink(&self, place: &str) -> Self::Sink;

    /// All that is stored there, in the order of the system, by a client that has nothing
    /// to do with the connector. Headers are those that a reader would see.
    ///
    /// # Errors
    /// Is asked again until a deadline: a server that was just started may not know yet.
    fn stored(&self, place: &str) -> impl Future<Output = Result<Vec<Parcel>, BoxError>> + Send;
}

/// A connector whose sink writes what its source reads.
///
/// A [place](Rig::place) is both: what [`SinkRig::sink`] writes there,
/// [`SourceRig::source`] of the same place receives.
pub trait BothRig: SourceRig + SinkRig {}

/// Which clock the rules run on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// The real one, on two threads.
    #[default]
    Real,
    /// Tokio's, paused: only for what never leaves the process and uses no other clock.
    Paused,
}

/// What the sink of a rig says of itself.
pub(super) fn promise_of<R: SinkRig>(sink: &R::Sink) -> SinkPromise {
    Sink::<R::Item>::promise(sink)
}
