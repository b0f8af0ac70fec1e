//! `poll_ready` before every call, on the same instance.

use std::time::Duration;

use crate::layer::{
    Act,
    caller::Step,
    trial::{Stand, Trial, Verdict, chain},
};

use super::life::{live, slow};

pub(super) async fn check(trial: &Trial) -> Verdict {
    trial.play(one_after_another).await?;
    trial.play(clone_of_a_ready_one).await?;
    trial.play(asked_often).await?;
    trial.play(slow_and_tried_again).await?;
    trial.play(tried_again).await?;
    trial.play(hedged).await
}

async fn one_after_another(stand: &Stand) -> Verdict {
    stand.scene("three calls of one service, one after another");
    let mut caller = stand.caller();
    for _ in 0..3 {
        stand.answer(&mut caller).await?;
        caller.again();
        stand.refill().await;
    }
    called(stand, 3)
}

async fn clone_of_a_ready_one(stand: &Stand) -> Verdict {
    stand.scene("a service is cloned when it is ready, then both are called");
    let mut first = stand.caller();
    first.step();
    let mut second = first.split();
    stand.answer(&mut first).await?;
    stand.refill().await;
    stand.answer(&mut second).await?;
    called(stand, 2)
}

async fn asked_often(stand: &Stand) -> Verdict {
    stand.scene("a service is asked `poll_ready` four times before it is called");
    let mut caller = stand.caller();
    for _ in 0..4 {
        drop(caller.poll_ready());
        stand.calm().await;
    }
    stand.answer(&mut caller).await?;
    called(stand, 1)
}

async fn slow_and_tried_again(stand: &Stand) -> Verdict {
    stand.scene("the inner service is not ready at first, nor before a retry");
    slow(stand);
    match live(stand, &mut stand.caller(), None).await? {
        Some(Step::Done(Ok(()))) => called(stand, stand.expect.attempts as usize),
        Some(Step::Done(Err(_))) if stand.expect.rejects || stand.expect.timeout.is_some() => {
            Ok(())
        }
        Some(Step::Done(Err(error))) => {
            Err(stand.broken(format!("the call fails: {}", chain(&*error))))
        }
        _ => Err(stand.broken("the call never ends")),
    }
}

async fn tried_again(stand: &Stand) -> Verdict {
    stand.scene("the inner service fails as often as it is tried again, then answers");
    let failures = stand.expect.attempts.saturating_sub(1) as usize;
    stand
        .script
        .next(std::iter::repeat_n(Act::fail(), failures));
    stand.answer(&mut stand.caller()).await?;
    called(stand, failures + 1)
}

async fn hedged(stand: &Stand) -> Verdict {
    let Some(delay) = stand.expect.hedge else {
        return Ok(());
    };
    stand.scene("the inner service does not answer until it is called a second time");
    stand.script.next([Act::answer().held()]);
    let mut caller = stand.caller();
    let step = stand.drive(&mut caller, delay * 2 + Duration::from_millis(2));
    match step.await? {
        Step::Done(Ok(())) => called(stand, 2),
        step => Err(stand.broken(format!("it is not sent again: {step:?}"))),
    }
}

fn called(stand: &Stand, times: usize) -> Verdict {
    let calls = stand.script.tally().calls;
    stand.ensure(calls == times, || {
        format!("the inner service is called {calls} times instead of {times}")
    })
}
