//! A conformance suite for tower layers: the rules that a layer around any service keeps to.
//!
//! ```
//! use std::time::Duration;
//! use tower::{Layer, timeout::TimeoutLayer};
//! use towpath_test::layer::Suite;
//!
//! let limit = Duration::from_millis(200);
//! Suite::new(move |inner| TimeoutLayer::new(limit).layer(inner))
//!     .times_out_after(limit)
//!     .check();
//! ```
//!
//! ```text
//! Suite ─▶ callers ─▶ the layer under test ─▶ Probe
//!   │      polled by hand,                      │ notes each breach of the contract
//!   └───── only when woken                 Script ◀── what it does: ready or not, answers,
//!                                                     fails, is held, panics
//! ```
//!
//! [`Rule`] lists the rules. A layer that only hands calls through needs nothing but
//! [`Suite::check`]; what else a layer may do is said beforehand: how often it tries again,
//! how many calls it lets in, when it gives up. To test more than the rules, use the
//! [`Probe`] alone.
//!
//! # Constraints
//! - A layer is clonable once it is around a service, as in any pipeline.
//! - A wait of one second costs at most 20 wakes.
//! - Callers are polled by hand in one thread: races between threads are not found, only
//!   what is wrong in every order. Those are the matter of a model checker.

mod act;
mod caller;
mod checks;
mod expect;
mod probe;
mod promise;
mod rule;
mod suite;
mod trial;

use tower_service::Service;
use towpath::BoxError;

pub use act::{Act, Failed, find_failed};
pub use probe::{Probe, Reply, Script, Tally};
pub use promise::{assert_layer, assert_send, assert_service, assert_sync};
pub use rule::{Broken, Rule};
pub use suite::Suite;

/// Checks a layer that does nothing a caller could notice: [`Suite::check`] with nothing
/// said beforehand.
///
/// # Panics
/// Panics with the rules that are broken, and how.
#[track_caller]
pub fn check<S>(make: impl Fn(Probe) -> S + Send + Sync + 'static)
where
    S: Service<u64, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
{
    Suite::new(make).check();
}
