//! Whatever the layer started ends with its services and futures.

use tokio::runtime::Handle;

use crate::layer::{
    Act, Rule,
    trial::{Stand, Trial, Verdict, calm},
};

pub(super) async fn check(trial: &Trial) -> Verdict {
    let before = alive();
    trial.play(used).await?;
    calm().await;
    let left = alive().saturating_sub(before);
    if left == 0 {
        return Ok(());
    }
    let what = format!("{left} tasks go on after all services and futures are dropped");
    Err(Rule::Tasks.broken(what))
}

/// One call that ends, one that fails, one that is dropped while it runs.
async fn used(stand: &Stand) -> Verdict {
    stand.scene("calls that end, fail and are dropped");
    stand.script.next([Act::answer().pending(1)]);
    stand.answer(&mut stand.caller()).await?;
    stand.refill().await;
    stand.script.always(Act::fail());
    drop(stand.result(&mut stand.caller()).await?);
    stand.refill().await;
    stand.script.always(Act::answer().held());
    stand.at_once(&mut stand.caller()).await.map(drop)
}

fn alive() -> usize {
    Handle::current().metrics().num_alive_tasks()
}
