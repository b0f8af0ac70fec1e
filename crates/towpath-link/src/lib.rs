//! The demand-driven, bounded link between two stages.
//!
//! A link is a fixed set of recycled buffers and two channels. Full [`Chunk`]s
//! travel forward; emptied ones travel back, and **an empty chunk is the
//! demand**: whoever fills the link waits for one, is asked for at most its
//! capacity, and sends what it has at once.
//!
//! ```
//! use std::num::NonZeroUsize;
//! use towpath_link::{link, Size};
//!
//! let size = Size { buffers: NonZeroUsize::MIN, max_demand: NonZeroUsize::new(2).unwrap() };
//! let (mut sender, mut receiver) = link::<u32>(size);
//! let mut chunk = sender.try_chunk().expect("a new link is all demand");
//! chunk.push(1).unwrap();
//! chunk.push(2).unwrap();
//! assert_eq!(chunk.push(3), Err(3), "never more than was asked for");
//! sender.send(chunk);
//! assert!(sender.try_chunk().is_none(), "no demand until the chunk is back");
//!
//! let mut chunk = receiver.try_recv().expect("sent above");
//! assert_eq!(chunk.pop(), Some(1));
//! receiver.offer_back(chunk); // whoever is idle takes the rest
//! assert_eq!(receiver.try_recv().and_then(|mut c| c.pop()), Some(2));
//! assert!(sender.try_chunk().is_some(), "an emptied chunk is demand again");
//! ```
//!
//! ```text
//!             full:  [chunk][chunk] ──────────────▶
//!   Sender                                             Receiver
//!             empty: ◀────────────── [     ][     ]
//! ```
//!
//! # Constraints
//!
//! - At most `buffers * max_demand` items are in a link, its chunks in hand included.
//! - Both channels hold every buffer, so sending never waits; only receiving parks.
//! - Each chunk wakes one end, the one that has waited longest. An end that turns to other
//!   things says so with `stop_waiting`, and the wake-up passes on; dropping it, or the future
//!   of `recv` or `chunk`, says it too.
//! - A chunk that is dropped, by a panic or an abort too, goes back empty: credit is never lost.
//! - The link ends when the last [`Sender`] is gone *and* the last loaded chunk was emptied,
//!   so that the rest of a chunk can be offered to another receiver until the very end.
//! - When the last [`Receiver`] is gone nothing is asked for any more, and what nobody can
//!   receive is dropped at once.
//! - Knows nothing of messages, receipts, tower or tracing.

mod channel;
mod chunk;
mod gauge;
pub mod invariants;
mod lane;
mod receiver;
mod sender;
mod shared;
mod sync;
mod waiters;

pub use chunk::Chunk;
pub use gauge::Watch;
pub use receiver::Receiver;
pub use sender::Sender;
pub use shared::{Size, link};
