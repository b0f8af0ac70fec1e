//! The checks, one module for each rule.

use super::{
    Rule,
    trial::{Trial, Verdict},
};

mod cancellation;
mod contract;
mod errors;
mod life;
mod panics;
mod permits;
mod tasks;
mod time;
mod waits;
mod wakers;

pub(super) async fn check(trial: &Trial) -> Verdict {
    match trial.rule() {
        Rule::Contract => contract::check(trial).await,
        Rule::Permits => permits::check(trial).await,
        Rule::Wakers => wakers::check(trial).await,
        Rule::Cancellation => cancellation::check(trial).await,
        Rule::Tasks => tasks::check(trial).await,
        Rule::Errors => errors::check(trial).await,
        Rule::Panics => panics::check(trial).await,
        Rule::Time => time::check(trial).await,
    }
}
