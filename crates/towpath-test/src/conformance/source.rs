//! The rules of sources, one function for each.

mod closing;
mod content;
mod direct;
mod leases;
mod loss;
mod order;
mod outcomes;
mod server;
mod stopping;

use super::{SourceRig, SourceRule, stand::Stand, suite::Verdict};

pub(super) async fn check<R: SourceRig>(rule: SourceRule, rig: R) -> Verdict {
    let stand = &Stand::new(rule, rig);
    match rule {
        SourceRule::AtLeastOnce => outcomes::at_least_once(stand).await,
        SourceRule::NotEarly => outcomes::not_early(stand).await,
        SourceRule::GivenBack => outcomes::given_back(stand).await,
        SourceRule::Over => outcomes::over(stand).await,
        SourceRule::Dropped => loss::dropped(stand).await,
        SourceRule::Killed => loss::killed(stand).await,
        SourceRule::Delay => leases::delay(stand).await,
        SourceRule::Lease => leases::lease(stand).await,
        SourceRule::Fenced => leases::fenced(stand).await,
        SourceRule::Order => order::order(stand).await,
        SourceRule::Group => order::group(stand).await,
        SourceRule::Drain => stopping::drain(stand).await,
        SourceRule::Stop => stopping::stop(stand).await,
        SourceRule::StopInTime => stopping::stop_in_time(stand).await,
        SourceRule::ConcurrentClose => closing::concurrent_close(stand).await,
        SourceRule::Reconnect => server::reconnect(stand).await,
        SourceRule::Frozen => server::frozen(stand).await,
        SourceRule::Absent => server::absent(stand).await,
        SourceRule::Missing => server::missing(stand).await,
        SourceRule::Quiet => server::quiet(stand).await,
        SourceRule::Sizes => content::sizes(stand).await,
        SourceRule::Headers => content::headers(stand).await,
        SourceRule::Attempts => content::attempts(stand).await,
        SourceRule::Cancel => direct::cancel(stand).await,
        SourceRule::Demand => direct::demand(stand).await,
    }
}
