//! The ports of workers: ends of links, and the places where a message ends or forks.

mod acknowledge;
mod link;
mod route;
mod tee;

pub(crate) use acknowledge::Acknowledge;
pub(crate) use link::{LinkInlet, LinkOutlet};
pub(crate) use route::Route;
pub(crate) use tee::{Copy, Tee};
