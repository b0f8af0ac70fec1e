//! The error of the inner service is in the chain of causes.

use towpath::BoxError;

use crate::layer::{
    Act, find_failed,
    trial::{Stand, Trial, Verdict, chain},
};

pub(super) async fn check(trial: &Trial) -> Verdict {
    trial.play(failed_call).await?;
    trial.play(failed_readiness).await
}

async fn failed_call(stand: &Stand) -> Verdict {
    stand.scene("the inner service fails, also when it is tried again");
    stand.script.always(Act::fail());
    let result = stand.result(&mut stand.caller()).await?;
    is_kept(stand, result)?;
    let (calls, attempts) = (stand.script.tally().calls, stand.expect.attempts as usize);
    let most = attempts.max(1 + usize::from(stand.expect.hedge.is_some()));
    stand.ensure((attempts..=most).contains(&calls), || {
        format!("the inner service is called {calls} times instead of {attempts}")
    })
}

async fn failed_readiness(stand: &Stand) -> Verdict {
    stand.scene("the inner service fails when it is asked whether it is ready");
    stand.script.fail_when_asked();
    let result = stand.result(&mut stand.caller()).await?;
    is_kept(stand, result)
}

fn is_kept(stand: &Stand, result: Result<(), BoxError>) -> Verdict {
    match result {
        Ok(()) if stand.expect.answers_errors => Ok(()),
        Ok(()) => Err(stand.broken("the call succeeds (see `answers_errors` if that is meant)")),
        Err(error) => stand.ensure(find_failed(&*error), || {
            format!("`layer::Failed` is not found in `{}`", chain(&*error))
        }),
    }
}
