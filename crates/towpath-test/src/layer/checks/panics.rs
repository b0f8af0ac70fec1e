//! A call that panics gives back what it took.

use crate::layer::{
    Act,
    caller::Step,
    trial::{Stand, Trial, Verdict},
};

pub(super) async fn check(trial: &Trial) -> Verdict {
    for act in [Act::panic(), Act::panic().pending(1), Act::panic_in_call()] {
        trial
            .play(async |stand: &Stand| panics(stand, &act).await)
            .await?;
    }
    Ok(())
}

async fn panics(stand: &Stand, act: &Act) -> Verdict {
    stand.scene("the inner service panics");
    stand.script.always(act.clone());
    let mut caller = stand.caller();
    let step = stand.end(&mut caller).await?;
    let caught = !matches!(step, Step::Panicked(_));
    stand.ensure(caught || !stand.expect.catches_panics, || {
        format!("the call panics too: {step:?}")
    })?;
    stand.ensure(
        stand.expect.answers_errors || !matches!(step, Step::Done(Ok(()))),
        || "the call succeeds".to_owned(),
    )?;
    stand.script.always(Act::answer());
    stand.refill().await;
    if caught && stand.expect.catches_panics {
        caller.again();
        stand.answer(&mut caller).await?;
        stand.refill().await;
    }
    drop(caller);
    stand.calm().await;
    stand.is_whole("afterwards").await
}
