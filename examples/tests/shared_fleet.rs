//! The example `fleet`, as one, two and four processes, on JetStream and on Kafka.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests are tests; the lint knows only the functions marked as such"
)]

#[path = "fleet/executable.rs"]
mod executable;
#[path = "fleet/program.rs"]
mod program;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use program::{Fleet, LEASE, Line, Member, Server};
use tokio::time::Instant;

/// Enough that everybody has something to do for a while.
const TASKS: u32 = 800;

/// How much longer than the lease it may take until the tasks of a killed member are worked: the
/// others have to notice, share them out anew, and work them. Less than any usual lease.
const MARGIN: Duration = Duration::from_secs(20);

/// How often tasks are put in until each has had its share: one that stands still has none.
const ROUNDS: u32 = 10;

/// At most so much of a killed member is worked again: what was in its links, in its slots and in a
/// batch, and what it has worked since the last commit to Kafka, a tenth of a second ago.
const IN_HAND: usize = 400;

#[test]
fn members_on_jetstream_share_the_work() {
    each_has_a_share(Server::nats);
}

#[test]
fn members_on_kafka_share_the_work() {
    each_has_a_share(Server::kafka);
}

#[test]
fn the_work_of_a_killed_member_is_taken_over_on_jetstream() {
    others_take_over(Server::nats);
}

#[test]
fn the_work_of_a_killed_member_is_taken_over_on_kafka() {
    others_take_over(Server::kafka);
}

#[test]
fn the_tasks_of_a_customer_stay_in_order_on_jetstream_while_members_come_and_go() {
    order_is_kept(Server::nats);
}

#[test]
fn the_tasks_of_a_customer_stay_in_order_on_kafka_while_members_come_and_go() {
    order_is_kept(Server::kafka);
}

/// One, then two, then four: each works its part, and nothing is worked twice.
fn each_has_a_share(server: fn() -> Option<Server>) {
    let Some(server) = server() else {
        return;
    };
    let mut fleet = Fleet::unordered(server);
    let names = ["a", "b", "c", "d"];
    let mut members: Vec<Member> = Vec::new();
    for count in [1, 2, 4] {
        let joining = &names[members.len()..count];
        members.extend(joining.iter().map(|name| fleet.member(name)));
        fleet.fill_until_at_work(&names[..count]);
        fill_until_shared(&mut fleet, count);
    }
    for member in members {
        member.stop();
    }
    let lines = fleet.lines();
    assert_eq!(repeated(&lines), 0);
}

/// Fills until each of so many members has had a fair part of it.
fn fill_until_shared(fleet: &mut Fleet, members: usize) {
    let first = fleet.filled();
    let mut shares = BTreeMap::new();
    for _ in 0..ROUNDS {
        fleet.fill(TASKS);
        fleet.await_all();
        shares = fleet.shares(first);
        assert!(shares.len() <= members, "{shares:?}");
        let least = (fleet.filled() - first) / u32::try_from(4 * members).unwrap();
        let is_fair = |share: &u32| *share >= least;
        if shares.len() == members && shares.values().all(is_fair) {
            return;
        }
    }
    panic!("{shares:?}");
}

fn others_take_over(server: fn() -> Option<Server>) {
    let Some(server) = server() else {
        return;
    };
    let mut fleet = Fleet::unordered(server);
    let (killed, other) = (fleet.member("a"), fleet.member("b"));
    fleet.fill_until_at_work(&["a", "b"]);
    let first = fleet.filled();
    for round in 1..=ROUNDS {
        fleet.fill(TASKS);
        let some = first + (round - 1) * TASKS + TASKS / 4;
        fleet.await_worked(some, "nothing is worked");
        if fleet.shares(first).contains_key("a") {
            break;
        }
    }
    killed.kill();
    let at = Instant::now();
    fleet.await_all();
    let took = at.elapsed();
    let lines = fleet.lines();
    assert!(took < LEASE + MARGIN, "{took:?}");
    assert!(repeated(&lines) <= IN_HAND, "{}", repeated(&lines));
    let (a, b) = (tasks_of(&lines, "a"), tasks_of(&lines, "b"));
    assert!(
        a.iter().any(|number| *number >= first),
        "it was killed too early"
    );
    assert!(b.iter().any(|number| *number >= first));
    other.stop();
}

/// One begins, another joins, the first is killed, a third joins, the second leaves.
fn order_is_kept(server: fn() -> Option<Server>) {
    let Some(server) = server() else {
        return;
    };
    let mut fleet = Fleet::ordered(server);
    let a = fleet.member("a");
    fleet.fill_until_at_work(&["a"]);
    fleet.fill(TASKS);
    let b = fleet.member("b");
    fleet.fill_until_at_work(&["a", "b"]);
    fleet.fill(TASKS);
    a.kill();
    let c = fleet.member("c");
    fleet.fill_until_at_work(&["b", "c"]);
    fleet.fill(TASKS);
    b.stop();
    fleet.await_all();
    c.stop();
    let lines = fleet.lines();
    expect_order(&lines);
    assert!(repeated(&lines) <= IN_HAND, "{}", repeated(&lines));
}

/// A task may be repeated after a kill, but no customer sees a later one before an earlier one.
#[track_caller]
fn expect_order(lines: &[Line]) {
    let mut last = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for line in lines {
        if seen.insert(line.number) {
            let before = last.insert(&line.customer, line.number);
            assert!(
                before.is_none_or(|before| before < line.number),
                "{line:?} after {before:?}"
            );
        }
    }
}

fn tasks_of(lines: &[Line], member: &str) -> BTreeSet<u32> {
    let lines = lines.iter().filter(|line| line.member == member);
    lines.map(|line| line.number).collect()
}

/// How many lines are of a task that was in the book before.
fn repeated(lines: &[Line]) -> usize {
    let different: BTreeSet<_> = lines.iter().map(|line| line.number).collect();
    lines.len() - different.len()
}
