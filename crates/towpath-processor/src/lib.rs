//! Processors: a tower service in every slot, in any order you ask for.
//!
//! ```
//! use towpath_core::BoxError;
//! use towpath_processor::Processor;
//!
//! let double = Processor::new("double", |n: u32| async move { Ok::<_, BoxError>(n * 2) })
//!     .unordered(64);
//! # let _ = double;
//! ```
//!
//! ```text
//!            ┌ worker ─────────────────────────────┐
//!            │        ┌ slot: tower stack ┐        │
//!  inlet ──▶ │ inbox ─┼ slot: tower stack ┼─▶ done │ ──▶ outlet
//!            │        └ slot: tower stack ┘        │
//!            └──────────────┬──────────────────────┘
//!                           ▼ failures: hook, dead letters, back to the source
//! ```
//!
//! A worker polls its slots whatever else it waits for; a finished call keeps its
//! place until downstream has room, so polling never has to stop.

mod blocking;
mod call;
mod chunked;
mod discipline;
mod in_time;
mod meter;
pub mod operator;
mod policy;
mod processor;
mod ready_set;
mod reply;
mod slots;
mod traced;
mod worker;

pub use blocking::Blocking;
pub use call::{Call, Carry, InContext, Plain};
pub use chunked::ChunkProcessor;
pub use discipline::{ByKey, Discipline, LaneHalted, Lanes, Order, Ordered, Reorder, Unordered};
pub use operator::{Chunked as ChunkInlet, FusedInlet, FusedOutlet, Operator};
pub use policy::{Absent, Bare, Guard, Guarded, Part, Stack, StackOf, ToStack, name_errors};
pub use processor::{FnService, Processor};
pub use reply::{Maybe, Parts, Reply, Single};
