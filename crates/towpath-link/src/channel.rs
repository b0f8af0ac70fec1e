//! The channel under a link: async-channel, or a model of it for the checker.

#[cfg(not(shuttle))]
pub(crate) use async_channel::{Receiver, Sender, bounded};

#[cfg(shuttle)]
mod model;
#[cfg(shuttle)]
pub(crate) use model::{Receiver, Sender, bounded};
