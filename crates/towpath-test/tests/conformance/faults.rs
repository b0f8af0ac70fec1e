//! How a connector may be broken.

/// A mistake in the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SourceFault {
    /// Settles a message as it is received.
    AcksEarly,
    /// Says that outcomes are told, and tells nobody.
    TellsNobody,
    /// Takes what is given back for done.
    LosesNacks,
    /// Never settles what is rejected.
    ForgetsRejects,
    /// Settles everything that it has when it is dropped.
    AcksWhenDropped,
    /// Gives back everything at once.
    ForgetsDelay,
    /// Gives back a minute later.
    DelaysForEver,
    /// Takes the newest first.
    LastFirst,
    /// Hands out what it does not claim.
    ClaimsNothing,
    /// Never gives anything to its second member.
    StarvesOthers,
    /// Never returns from a drain.
    HangsOnDrain,
    /// Takes a message that is abandoned at a stop for done.
    LosesAtStop,
    /// Waits for its server for ever.
    NeverNotices,
    /// Settles what it has when its server is back.
    DropsOnReconnect,
    /// Gives up for ever when its server was away.
    NeverReturns,
    /// Waits for messages before it says that its server is back.
    SaysNothingWhenBack,
    /// Refuses to start without its server.
    FailsToOpen,
    /// Its errors show the password.
    ShowsSecrets,
    /// Makes the places that it is told to read.
    MakesPlaces,
    /// Cannot bear payloads without a byte.
    SkipsEmpty,
    /// Takes payloads for text.
    ReadsText,
    /// Brings no headers along.
    IgnoresHeaders,
    /// Counts its own deliveries only.
    IgnoresAttemptHeader,
    /// Says that every attempt is the first.
    CountsNothing,
    /// Gives a new identity to each delivery.
    NewIdentities,
    /// Keeps what it has claimed in the future of the call.
    LosesOnCancel,
    /// Keeps outcomes that it is about to tell in the future of the call.
    ForgetsOnCancel,
    /// Extends nothing.
    NeverExtends,
    /// Settles a message whoever has it.
    SettlesForOthers,
    /// Asks again and again.
    Spins,
    /// Asks again and again while its server is away.
    SpinsWhenLost,
    /// Claims more than it was asked for.
    ClaimsMore,
    /// Hands out more than it was asked for.
    PushesMore,
}

/// A mistake in the sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SinkFault {
    /// Leaves out the last message of a batch.
    LosesTheLast,
    /// Stores a batch backwards.
    Backwards,
    /// Stores each batch at the beginning of the next.
    DoneTooEarly,
    /// Two of them at once lose what the other writes.
    OneAtATime,
    /// Stores a message each time it comes.
    StoresTwice,
    /// Rejects a whole batch for one message.
    RejectsAll,
    /// Tries what is too large again and again.
    TriesTooLarge,
    /// Loses payloads without a byte.
    SkipsEmpty,
    /// Sends no headers of the user.
    IgnoresHeaders,
    /// Sends no attempts.
    IgnoresAttempts,
    /// Sends no traces.
    IgnoresTraces,
    /// Says that all is done when the server is away.
    DoneWhenLost,
    /// Rejects everything when the server is away.
    RejectsWhenLost,
    /// Says nothing while it waits for its server.
    NeverSays,
    /// Refuses to start without its server.
    FailsToOpen,
    /// Its errors show the password.
    ShowsSecrets,
    /// Makes the places that it is told to write to.
    MakesPlaces,
    /// A write that was dropped leaves it useless.
    BreaksOnCancel,
    /// Tries again and again while its server is away.
    Spins,
    /// Changes the key.
    ChangesKeys,
}
