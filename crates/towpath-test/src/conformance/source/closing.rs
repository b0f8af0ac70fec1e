//! Pipelines over one place that come and go.

use std::time::Duration;

use tokio::time::sleep;

use crate::conformance::{
    Group, SourceRig,
    log::{Came, Log},
    seeds::Seeded,
    stand::{PATIENCE, SLACK, Stand},
    suite::Verdict,
    team::{Act, Team},
};

/// How many messages go through pipelines that come and go.
const MANY: usize = ROUNDS * WAVE;
/// How often one of them goes.
const ROUNDS: usize = 9;
/// How many messages are put in before it does.
const WAVE: usize = 40;

pub(super) async fn concurrent_close<R: SourceRig>(stand: &Stand<R>) -> Verdict {
    let mut random = Seeded::new();
    let place = stand.place().await?;
    let log = Log::default();
    let members = match stand.rig.promises().group {
        Group::Alone => 1,
        _ => 3,
    };
    let mut teams = Vec::new();
    for member in 0..members {
        teams.push(Some(some_work(stand, &place, member, &log).await?));
    }
    for round in 0..ROUNDS {
        stand
            .put_numbers(&place, round * WAVE..(round + 1) * WAVE)
            .await?;
        sleep(random.up_to(Duration::from_millis(100))).await;
        let member = random.below(members);
        if let Some(team) = teams[member].take() {
            end(stand, team, round % 3).await?;
        }
        teams[member] = Some(some_work(stand, &place, member, &log).await?);
    }
    let within = PATIENCE + stand.rig.promises().again + SLACK;
    stand.all_done(&log, 0..MANY, within).await?;
    stand.holds_within(&place, 0, within).await?;
    for team in teams.into_iter().flatten() {
        stand.drained(team).await?;
    }
    Ok(())
}

/// A pipeline that takes a little over each message, and gives some back.
async fn some_work<R: SourceRig>(
    stand: &Stand<R>,
    place: &str,
    member: usize,
    log: &Log,
) -> Verdict<Team> {
    let script = |came: &Came| match came.number.unwrap_or_default() {
        n if n % 9 == 0 && came.before == 0 => Act::Retry,
        n => Act::Takes(Duration::from_millis(n as u64 % 7 * 10)),
    };
    stand.team(place, member, log, script).await
}

/// One of the ways a pipeline may end.
async fn end<R: SourceRig>(stand: &Stand<R>, team: Team, how: usize) -> Verdict {
    match how {
        0 => stand.drained(team).await.map(drop),
        1 => {
            let hardly = Duration::from_millis(1);
            stand.stopped(team, hardly).await.map(drop)
        }
        _ => {
            team.crash();
            Ok(())
        }
    }
}
