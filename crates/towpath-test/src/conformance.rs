//! A conformance suite for connectors: the rules that every source and sink keeps to, checked
//! against the real server.
//!
//! A connector brings a *rig*: a server of its own, an independent client, and what the
//! connector [promises](SourcePromises) beyond the rules that hold for all. One macro makes a
//! test of each rule:
//!
//! ```text
//! fn rig() -> Option<MyRig> {
//!     Some(MyRig::new(or_not_run(MyServer::start())?))
//! }
//!
//! towpath_test::conformance_source!(rig); // tests `source::what_is_given_back_comes_again`, ..
//! towpath_test::conformance_sink!(rig);   // tests `sink::headers_go_out`, ..
//! towpath_test::conformance_both!(rig);   // where the sink writes what the source reads
//! ```
//!
//! ```text
//!            put ─────▶ ┌────────┐ ─▶ source ─▶ pipeline ─▶ what the rule does with it
//! rig's own client      │ server │    (under test)
//!         stored ◀───── └────────┘ ◀─ sink ◀──── pipeline ◀─ what the rule writes
//!                        kill, restart, freeze
//! ```
//!
//! [`SourceRule`], [`SinkRule`] and [`BothRule`] list the rules. Each runs in a thread and a
//! runtime of its own, on the real clock: it waits for conditions, never for time to pass,
//! unless passing time is what it is about. What is random prints its seed, and takes it from
//! the variable `TOWPATH_SEED` where that is set.
//!
//! # Constraints
//! - A rule takes four minutes at most.
//! - Whatever waits for a server waits for a minute at most; a source says within 20 seconds
//!   that its server is gone.
//! - A pipeline of each rule ends with [`check`](crate::check) of its report.

mod both;
mod bytes;
mod driver;
mod feed;
mod log;
mod macros;
mod parcel;
mod promises;
mod reader;
mod rig;
mod rule;
mod seeds;
mod sink;
mod source;
mod stand;
mod suite;
mod team;
mod watched;
mod words;
mod writing;

pub use parcel::Parcel;
pub use promises::{Group, Order, SinkPromises, SourcePromises};
pub use rig::{BothRig, Clock, Rig, SinkRig, SourceRig};
pub use rule::{BothRule, Broken, Rule, SinkRule, SourceRule};

/// Checks one rule of a source.
///
/// # Errors
/// Fails with what was seen.
pub fn check_source<R: SourceRig>(rule: SourceRule, rig: R) -> Result<(), Broken> {
    let alone = rule == SourceRule::Quiet;
    let clock = rig.clock();
    suite::on_trial(rule.into(), clock, alone, async move || {
        source::check(rule, rig).await
    })
}

/// Checks one rule of a sink.
///
/// # Errors
/// Fails with what was seen.
pub fn check_sink<R: SinkRig>(rule: SinkRule, rig: R) -> Result<(), Broken> {
    let alone = rule == SinkRule::Quiet;
    let clock = rig.clock();
    suite::on_trial(rule.into(), clock, alone, async move || {
        sink::check(rule, rig).await
    })
}

/// Checks one rule of a sink and a source of one system.
///
/// # Errors
/// Fails with what was seen.
pub fn check_both<R: BothRig>(rule: BothRule, rig: R) -> Result<(), Broken> {
    let clock = rig.clock();
    suite::on_trial(rule.into(), clock, false, async move || {
        both::check_rule(rule, rig).await
    })
}

/// The example of the guide is compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/connectors.md")]
mod guide {}
