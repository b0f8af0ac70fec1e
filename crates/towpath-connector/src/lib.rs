//! What connectors share: leases, backoff, waiting for a server, headers.
//!
//! A connector is a [`Producer`](towpath_core::Producer) or a [`Sink`](towpath_core::Sink) of
//! one outside system. This crate holds what each of them needs and none should write again.
//!
//! - [`Leases`] and [`Held`]: which messages are still worked on, for sources that would give
//!   them to somebody else otherwise.
//! - [`Backoff`] and [`Persistence`]: trying again, slower each time, until a server is back.
//! - [`attempt_of`] and [`outgoing`]: attempts and traces, carried from one system to the next.

mod backoff;
mod headers;
mod leases;
mod persist;

pub use backoff::Backoff;
pub use headers::{ATTEMPT_HEADER, attempt_of, outgoing};
pub use leases::{Held, Leases};
pub use persist::{OutOfPatience, Persistence};
