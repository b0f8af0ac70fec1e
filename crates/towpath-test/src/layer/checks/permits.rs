//! One permit for each call that is let in, across clones.

use crate::layer::{
    Act,
    caller::Caller,
    trial::{Stand, Trial, Verdict},
};

/// How many clones idle about.
const CLONES: usize = 32;

/// How many calls the inner service has room for, where it is the narrow place.
const ROOM: usize = 2;

pub(super) async fn check(trial: &Trial) -> Verdict {
    trial.play(as_many_as_it_says).await?;
    trial.play(waiting_holds_nothing_inside).await?;
    trial.play(clones_of_a_ready_one).await?;
    trial.play(one_out_one_in).await?;
    trial.play(narrow_inner_service).await
}

async fn as_many_as_it_says(stand: &Stand) -> Verdict {
    stand.scene("clones of a new service are called at once");
    stand.is_whole("at first").await
}

async fn waiting_holds_nothing_inside(stand: &Stand) -> Verdict {
    stand.scene("calls that are let in, and one that has to wait");
    let (inside, waits) = stand.let_in(stand.expect.width() + 1).await?;
    let reserved = stand.script.tally().reserved;
    drop((inside, waits));
    stand.ensure(reserved == 0, || {
        format!("{reserved} instances of the inner service are kept ready and not called")
    })
}

async fn clones_of_a_ready_one(stand: &Stand) -> Verdict {
    stand.scene("a service is cloned when it is ready, and the clones are called");
    stand.script.always(Act::answer().held());
    let mut first = stand.caller();
    first.step();
    let idle: Vec<_> = (0..CLONES).map(|_| first.split()).collect();
    let width = stand.expect.width();
    let mut others: Vec<Caller> = (0..width).map(|_| idle[0].split()).collect();
    let ends = stand.all_at_once(&mut others).await?;
    let step = stand.at_once(&mut first).await?;
    let running = stand.script.tally().running;
    drop((idle, others, ends, step));
    let due = width + usize::from(!stand.expect.is_limited());
    stand.ensure(running == due, || {
        format!("{running} calls run at once instead of {due}")
    })
}

async fn one_out_one_in(stand: &Stand) -> Verdict {
    let Some(at_most) = stand.expect.at_most else {
        return Ok(());
    };
    if stand.expect.rate.is_some() {
        return Ok(());
    }
    stand.scene("three times as many callers as may run, let go one by one");
    stand.script.always(Act::answer().held());
    let mut callers: Vec<Caller> = (0..at_most * 3).map(|_| stand.caller()).collect();
    all_pass(stand, &mut callers, at_most).await?;
    let most = stand.script.tally().most_running;
    stand.ensure(most == at_most, || {
        format!("{most} calls ran at once instead of {at_most}")
    })
}

async fn narrow_inner_service(stand: &Stand) -> Verdict {
    stand.scene("the inner service has room for two calls");
    stand.script.always(Act::answer().held());
    stand.script.room(ROOM);
    let width = stand.expect.width();
    let mut callers: Vec<Caller> = (0..width).map(|_| stand.caller()).collect();
    all_pass(stand, &mut callers, ROOM.min(width)).await?;
    let reserved = stand.script.tally().reserved;
    stand.ensure(reserved == 0, || {
        format!("{reserved} instances of the inner service are kept ready after the last call")
    })
}

/// Lets callers go one by one: as long as enough of them are left, `running` run.
async fn all_pass(stand: &Stand, callers: &mut Vec<Caller>, running: usize) -> Verdict {
    stand.all_at_once(callers).await?;
    while !callers.is_empty() {
        let found = stand.script.tally().running;
        let due = running.min(callers.len());
        stand.ensure(found == due, || {
            format!("{found} calls run where there is room for {due}")
        })?;
        stand.script.release_one();
        let ends = stand.all_at_once(callers).await?;
        stand.ensure(!ends.is_empty(), || {
            "a call does not end although the inner service has answered".to_owned()
        })?;
    }
    Ok(())
}
