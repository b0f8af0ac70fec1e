//! Who is killed when: all of it follows from a seed.

use std::time::Duration;

use clap::ValueEnum;
use fastrand::Rng;

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victim {
    /// The pipeline process of this number.
    Member(usize),
    /// A server.
    Server(Server),
}

/// The servers that a route stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Server {
    /// Where messages come from.
    Source,
    /// Where they end.
    Store,
}

/// What the victim is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// It (of a server: any member) has had messages in flight for so long, at most.
    AtWork(Duration),
    /// Whatever it does: it starts, connects, joins a group, sleeps.
    Any,
}

/// One kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kill {
    pub(crate) victim: Victim,
    /// After the kill before.
    pub(crate) after: Duration,
    pub(crate) moment: Moment,
    /// How long it stays away.
    pub(crate) down: Duration,
}

/// One kill of so many is one of the server, each of them.
const SERVER_SHARE: usize = 7;

/// One kill of so many does not wait until the victim works.
const ANY_TIME_SHARE: u32 = 5;

/// The kills, in their order. A few of them are of each server, where there are more than a few.
pub(crate) fn kills(count: usize, members: usize, servers: &[Server], seed: u64) -> Vec<Kill> {
    let mut random = Rng::with_seed(seed);
    let mut victims = Vec::with_capacity(count);
    for &server in servers {
        let share = (count / SERVER_SHARE).max(usize::from(count > servers.len()));
        victims.extend(std::iter::repeat_n(Victim::Server(server), share));
    }
    victims.truncate(count);
    let members = std::iter::repeat_with(|| Victim::Member(random.usize(..members)));
    let missing = count - victims.len();
    victims.extend(members.take(missing));
    random.shuffle(&mut victims);
    victims
        .into_iter()
        .map(|victim| kill(victim, &mut random))
        .collect()
}

fn kill(victim: Victim, random: &mut Rng) -> Kill {
    let moment = if random.u32(..ANY_TIME_SHARE) == 0 {
        Moment::Any
    } else {
        Moment::AtWork(millis(random, 30))
    };
    let longest_down = match victim {
        Victim::Member(_) => 200,
        Victim::Server(_) => 1500,
    };
    Kill {
        victim,
        after: millis(random, 300),
        moment,
        down: millis(random, longest_down),
    }
}

fn millis(random: &mut Rng, longest: u64) -> Duration {
    Duration::from_millis(random.u64(..=longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Server; 2] = [Server::Source, Server::Store];

    fn count_of(kills: &[Kill], victim: Victim) -> usize {
        kills.iter().filter(|kill| kill.victim == victim).count()
    }

    #[test]
    fn a_seed_always_makes_the_same_plan_and_another_seed_another() {
        assert_eq!(kills(50, 2, &BOTH, 3), kills(50, 2, &BOTH, 3));
        assert_ne!(kills(50, 2, &BOTH, 3), kills(50, 2, &BOTH, 4));
    }

    #[test]
    fn each_server_and_each_member_has_its_share_of_the_kills() {
        for seed in 0..100 {
            let kills = kills(20, 2, &BOTH, seed);
            assert_eq!(kills.len(), 20);
            for server in BOTH {
                assert_eq!(count_of(&kills, Victim::Server(server)), 2);
            }
            for member in 0..2 {
                assert!(count_of(&kills, Victim::Member(member)) > 0, "{seed}");
            }
        }
    }

    #[test]
    fn there_are_never_more_kills_than_asked_for() {
        for count in 0..5 {
            assert_eq!(kills(count, 1, &BOTH, 1).len(), count);
        }
        assert_eq!(count_of(&kills(3, 1, &[], 1), Victim::Member(0)), 3);
    }
}
