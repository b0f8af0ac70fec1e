//! The link under a model checker: many schedules of a few tasks each.
//!
//! A failure prints the seed and the schedule that led to it. Setting `SHUTTLE_RANDOM_SEED`
//! to the seed runs the same schedules again.
#![cfg(shuttle)]

use std::hash::{BuildHasher, RandomState};

use shuttle::{
    Config, Runner,
    future::{block_on, spawn},
    scheduler::{PctScheduler, RandomScheduler, Scheduler},
};
use towpath_link::Receiver;

use ledger::Item;
use roles::{
    abort_at_random, come_and_go, glance, poll_once, receive, receive_all, receive_and_offer_back,
    see_credit_home, send, send_nothing, send_through_clones,
};
use world::{World, join};

#[path = "support/ledger.rs"]
mod ledger;
#[path = "support/roles.rs"]
mod roles;
#[path = "support/world.rs"]
mod world;

/// Of each of the two kinds, for each test.
const SCHEDULES: usize = 20_000;

/// How often a schedule of the second kind changes who goes first.
const DEPTH: usize = 4;

#[test]
fn every_item_is_received_once_and_all_credit_comes_home() {
    explore(|| {
        let world = World::new(2, 2);
        let senders = world.senders(2, 3);
        let receivers = world.receivers(3, |receiver| see_credit_home(receiver, 2));
        world.end(senders.into_iter().chain(receivers));
    });
}

#[test]
fn what_is_offered_back_reaches_a_receiver() {
    explore(|| {
        let world = World::new(2, 3);
        let senders = world.senders(2, 3);
        let receivers = world.receivers(3, receive_and_offer_back);
        world.end(senders.into_iter().chain(receivers));
    });
}

#[test]
fn what_is_offered_back_after_the_last_sender_left_reaches_a_receiver() {
    explore(|| {
        let mut world = World::new(2, 3);
        world.fill();
        let receivers = world.receivers(3, receive_and_offer_back);
        world.end(receivers);
    });
}

#[test]
fn receivers_that_come_and_go_lose_only_what_they_drop() {
    explore(|| {
        let world = World::new(2, 2);
        let senders = world.senders(2, 3);
        let receivers = world.receivers(1, receive_all);
        let passing = world.receivers(2, come_and_go);
        world.end(senders.into_iter().chain(receivers).chain(passing));
    });
}

#[test]
fn receivers_aborted_at_any_await_lose_nothing() {
    explore(|| {
        let world = World::new(2, 2);
        let senders = world.senders(2, 3);
        let receivers = world.receivers(1, receive_all);
        let aborted = world.receivers(2, receive_all);
        block_on(abort_at_random(aborted));
        world.end(senders.into_iter().chain(receivers));
    });
}

#[test]
fn senders_that_come_and_go_leave_their_demand_to_the_others() {
    explore(|| {
        let world = World::new(1, 2);
        let senders = world.senders(1, 3);
        let receivers = world.receivers(2, receive_all);
        let passing = world.upstream(2, send_nothing);
        world.end(senders.into_iter().chain(receivers).chain(passing));
    });
}

#[test]
fn senders_aborted_at_any_await_leave_their_demand_to_the_others() {
    explore(|| {
        let world = World::new(1, 2);
        let senders = world.senders(1, 3);
        let receivers = world.receivers(2, receive_all);
        let aborted = world.senders(2, 3);
        block_on(abort_at_random(aborted));
        world.end(senders.into_iter().chain(receivers));
    });
}

#[test]
fn no_sender_hangs_when_the_last_receiver_leaves() {
    explore(|| {
        let world = World::new(2, 2);
        let senders = world.upstream(2, |sender, ledger| send(sender, ledger, usize::MAX));
        let receivers = world.receivers(2, come_and_go);
        world.end_abandoned(senders.into_iter().chain(receivers));
    });
}

#[test]
fn the_link_ends_once_whether_a_sender_or_a_chunk_goes_last() {
    explore(|| {
        let world = World::new(2, 1);
        let senders = world.upstream(1, |sender, ledger| send_through_clones(sender, ledger, 3));
        let receivers = world.receivers(2, receive_and_offer_back);
        world.end(senders.into_iter().chain(receivers));
    });
}

#[test]
fn a_receiver_that_waits_can_move_to_another_task() {
    explore(|| {
        let world = World::new(1, 1);
        let mut moved = world.receiver.clone();
        assert!(block_on(poll_once(&mut moved)).is_none());
        let senders = world.senders(1, 3);
        let receivers = [spawn(receive_all(moved))];
        world.end(senders.into_iter().chain(receivers));
    });
}

#[test]
fn a_wake_up_passes_on_from_a_receiver_that_stops_waiting() {
    explore(|| wait_and_turn_away(Receiver::stop_waiting));
}

#[test]
fn a_wake_up_passes_on_from_a_receiver_that_is_dropped() {
    explore(|| wait_and_turn_away(|receiver| *receiver = receiver.clone()));
}

#[test]
fn a_wake_up_passes_on_from_a_future_that_is_dropped() {
    explore(|| {
        let world = World::new(1, 1);
        let mut busy = world.receiver.clone();
        let senders = world.senders(1, 2);
        let receivers = world.receivers(1, receive_all);
        if let Some(chunk) = block_on(glance(busy.recv())) {
            receive(chunk);
        }
        world.end(senders.into_iter().chain(receivers));
        drop(busy);
    });
}

#[test]
fn demand_passes_on_from_a_future_that_is_dropped() {
    explore(|| {
        let world = World::new(1, 1);
        let mut busy = world.sender.clone();
        let receivers = world.receivers(1, receive_all);
        let senders = world.senders(2, 2);
        drop(block_on(glance(busy.chunk())));
        join(senders);
        drop(busy);
        world.end(receivers);
    });
}

/// Shows that the checker sees a lost wake-up.
#[test]
#[should_panic(expected = "deadlock")]
fn control_a_receiver_that_sits_on_its_wake_up_hangs_the_others() {
    explore(|| wait_and_turn_away(|_sits_on| ()));
}

/// Shows that the checker sees a lost chunk.
#[test]
#[should_panic(expected = "deadlock")]
fn control_a_chunk_that_never_comes_home_hangs_the_senders() {
    explore(|| {
        let world = World::new(1, 1);
        let senders = world.senders(1, 2);
        let receivers = world.receivers(1, |mut receiver| async move {
            std::mem::forget(receiver.recv().await);
            receive_all(receiver).await
        });
        world.end(senders.into_iter().chain(receivers));
    });
}

/// One of two receivers that wait turns away, and stays away until all else has ended.
fn wait_and_turn_away(turn_away: fn(&mut Receiver<Item>)) {
    let world = World::new(1, 1);
    let mut waiting = world.receiver.clone();
    assert!(block_on(poll_once(&mut waiting)).is_none());
    let receivers = world.receivers(1, receive_all);
    let senders = world.senders(1, 1);
    turn_away(&mut waiting);
    world.end(senders.into_iter().chain(receivers));
    drop(waiting);
}

/// Runs a model on random schedules, and on some where one task runs as long as it can.
fn explore(model: fn()) {
    let seed = RandomState::new().hash_one(SCHEDULES);
    println!("seed: {seed}, unless SHUTTLE_RANDOM_SEED is set");
    let random = run(RandomScheduler::new_from_seed(seed, SCHEDULES), model);
    let greedy = run(PctScheduler::new_from_seed(seed, DEPTH, SCHEDULES), model);
    println!("schedules: {}", random + greedy);
}

fn run(scheduler: impl Scheduler + 'static, model: fn()) -> usize {
    Runner::new(scheduler, Config::default()).run(model)
}
