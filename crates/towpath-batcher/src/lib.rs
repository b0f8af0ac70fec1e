//! Collects messages into batches by count, weight, age, mark and key.
//!
//! ```
//! use std::{collections::VecDeque, time::Duration};
//! use tokio::time::Instant;
//! use towpath_batcher::{NoSplit, OpenBatches, Rules, Trigger};
//!
//! let mut open = OpenBatches::new(Rules::default(), NoSplit);
//! let mut closed = VecDeque::new();
//! let start = Instant::now();
//! open.push("EWR", 1, 80, false, start, &mut closed);
//! open.push("JFK", 2, 80, false, start, &mut closed);
//! open.push("EWR", 3, 80, true, start, &mut closed); // marked: its batch goes now
//! assert_eq!((closed[0].items.as_slice(), closed[0].trigger), ([1, 3].as_slice(), Trigger::Flush));
//!
//! open.expire(start + Duration::from_secs(1), &mut closed);
//! assert_eq!((closed[1].key, closed[1].trigger), ("JFK", Trigger::Age));
//! ```
//!
//! ```text
//!            ┌ EWR [1] ──── 3, marked ──▶ [1, 3] Flush
//! 1, 2, 3 ──▶┤
//!            └ JFK [2] ──── 1 s later ──▶ [2]    Age
//! ```
//!
//! [`OpenBatches`] decides when a batch closes. It is a plain state machine: it
//! is told the time, holds no timer and waits for nothing.

mod batcher;
mod mapped;
mod open_batches;
mod rules;
mod sink;
mod sink_work;
mod splitter;
mod weigh;
mod work;

pub use batcher::Batcher;
pub use mapped::{Mapped, mapped};
pub use open_batches::{ClosedBatch, OpenBatches};
pub use rules::Rules;
pub use sink::{Each, FnSink, SinkStage, each, write};
pub use splitter::{Close, NoSplit, SplitFn, Splitter, split_fn};
pub use towpath_core::Trigger;
pub use weigh::{KeyFn, KeyOf, Size, SizeInBytes, Unkeyed, Unweighed, WeightFn, WeightOf};
