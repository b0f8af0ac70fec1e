//! The handlers: one that is ready at once, one that yields once, one decode-map-filter.

use tokio::task::yield_now;

use crate::message::{Message, Row};

/// Messages in flight at most, in the jobs that wait for their handler.
pub const IN_FLIGHT: usize = 64;

/// Messages in a full batch.
pub const BATCH: usize = 100;

/// Is ready at its first poll.
pub async fn ready(message: Message) -> Message {
    message.handled()
}

/// Yields to the runtime once, as a handler does that waits for a socket.
pub async fn yields_once(message: Message) -> Message {
    yield_now().await;
    message.handled()
}

/// Decodes, maps and filters a row.
pub fn decode_map_filter(row: &Row) -> Option<Message> {
    Some(Message::decode(row).handled()).filter(Message::is_kept)
}
