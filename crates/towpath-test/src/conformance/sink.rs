//! The rules of sinks, one function for each.

mod content;
mod direct;
mod server;
mod stored;

use super::{SinkRig, SinkRule, stand::Stand, suite::Verdict};

pub(super) async fn check<R: SinkRig>(rule: SinkRule, rig: R) -> Verdict {
    let stand = &Stand::new(rule, rig);
    match rule {
        SinkRule::Stored => stored::stored(stand).await,
        SinkRule::Durable => server::durable(stand).await,
        SinkRule::Workers => stored::workers(stand).await,
        SinkRule::Idempotent => stored::idempotent(stand).await,
        SinkRule::Refused => content::refused(stand).await,
        SinkRule::Sizes => content::sizes(stand).await,
        SinkRule::Headers => content::headers(stand).await,
        SinkRule::Reconnect => server::reconnect(stand).await,
        SinkRule::Frozen => server::frozen(stand).await,
        SinkRule::Absent => server::absent(stand).await,
        SinkRule::Missing => server::missing(stand).await,
        SinkRule::StopInTime => server::stop_in_time(stand).await,
        SinkRule::Cancel => direct::cancel(stand).await,
        SinkRule::Quiet => server::quiet(stand).await,
    }
}
