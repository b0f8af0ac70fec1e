//! One run: feed, kill, wait until it is quiet, count.

use std::path::Path;
use std::thread;
use std::time::Duration;

use tokio::time::Instant;
use towpath::BoxError;

use crate::cli::{Run, SinkKind, word};
use crate::clock::Deadline;
use crate::feed::{Feeder, Sent};
use crate::member::Member;
use crate::plan::{self, Kill, Moment, Server, Victim};
use crate::report::{Report, Toll};
use crate::system::{self, Part, Settled, SourcePart, StorePart};
use crate::verdict::{Exposed, Verdict};
use crate::{chain, say};

/// Until somebody works again after a kill, whatever was killed.
const TO_WORK: Duration = Duration::from_secs(60);

/// Until a server answers that is there.
const TO_ANSWER: Duration = Duration::from_secs(60);

/// Until everything is delivered after the last kill.
const TO_BE_QUIET: Duration = Duration::from_secs(120);

/// Until a process has drained.
const TO_END: Duration = Duration::from_secs(60);

/// Runs, prints the line of JSON, and says whether all was well.
pub(crate) fn run(options: &Run) -> Result<bool, BoxError> {
    let started = Instant::now();
    let folder = tempfile::tempdir()?;
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    let mut oracle = Oracle::start(options, folder.path())?;
    let feeder = Feeder::start(oracle.source.feed()?, seed, options.rate);
    let members = oracle.members.len();
    let plan = plan::kills(
        options.kills,
        members,
        &oracle.servers(&options.spare),
        seed,
    );
    oracle.kill_all(&plan)?;
    let sent = feeder.stop();
    oracle.become_quiet()?;
    let (verdict, redelivered) = (oracle.verdict(&sent, seed)?, oracle.redelivered());
    let report = Report {
        route: word(&options.route),
        store: word(&options.store()),
        sink: word(&options.sink),
        seed,
        verdict,
        toll: oracle.toll,
        redelivered,
        seconds: (started.elapsed().as_secs_f64() * 10.0).round() / 10.0,
        ok: false,
        problems: std::mem::take(&mut oracle.problems),
    };
    let report = report.judge(options.sink == SinkKind::Insert, options.kills as u64);
    println!("{}", serde_json::to_string(&report)?);
    if !report.ok {
        say(format_args!("{}", oracle.logs()));
    }
    Ok(report.ok)
}

struct Oracle {
    source: Box<dyn SourcePart>,
    store: Box<dyn StorePart>,
    members: Vec<Member>,
    toll: Toll,
    exposed: Exposed,
    problems: Vec<String>,
    is_verbose: bool,
    started: Instant,
}

/// What must be known just before a kill to say afterwards what was in flight.
struct Before {
    /// Of each member.
    confirmed: Vec<u64>,
    settled: Option<Box<dyn Settled>>,
}

/// What was in flight at a kill.
#[derive(Debug, Default)]
struct InFlight {
    count: u64,
    /// Those that may have been, where it is not known which of them were.
    numbers: Vec<u64>,
}

// === impl InFlight ===

impl InFlight {
    fn and(mut self, other: Self) -> Self {
        self.count += other.count;
        self.numbers.extend(other.numbers);
        self
    }
}

// === impl Oracle ===

impl Oracle {
    fn start(options: &Run, folder: &Path) -> Result<Self, BoxError> {
        let source = system::start_source(options.route, folder)?;
        let store = system::start_store(options.store(), options.sink, folder)?;
        let arguments = arguments(options, &source.address(), &store.address());
        let members = (0..options.members).map(|member| {
            let name = char::from(b'a' + member).to_string();
            let mut member = Member::new(name, folder, arguments.clone());
            member.start().map(|()| member)
        });
        Ok(Self {
            members: members.collect::<Result<_, _>>()?,
            source,
            store,
            toll: Toll::default(),
            exposed: Exposed::default(),
            problems: Vec::new(),
            is_verbose: options.verbose,
            started: Instant::now(),
        })
    }

    /// Those that can be killed, and are to be.
    fn servers(&self, spared: &[Server]) -> Vec<Server> {
        let source = self.source.is_server().then_some(Server::Source);
        let store = self.store.is_server().then_some(Server::Store);
        let servers = source.into_iter().chain(store);
        servers.filter(|server| !spared.contains(server)).collect()
    }

    fn part(&mut self, server: Server) -> &mut dyn Part {
        match server {
            Server::Source => &mut *self.source,
            Server::Store => &mut *self.store,
        }
    }

    /// Goes through the plan; stops early when nobody works any more.
    fn kill_all(&mut self, plan: &[Kill]) -> Result<(), BoxError> {
        for (at, kill) in plan.iter().enumerate() {
            thread::sleep(kill.after);
            if !self.await_moment(kill)? {
                let waited = TO_WORK.as_secs();
                let problem =
                    format!("nobody was at work, for {waited} s, before kill {at}: {kill:?}");
                self.problems.push(problem);
                break;
            }
            let in_flight = self.strike(kill)?;
            let count = in_flight.count;
            if self.is_verbose {
                let at = self.started.elapsed();
                say(format_args!("{at:?} {:?}: {count} in flight", kill.victim));
            }
            let is_server = matches!(kill.victim, Victim::Server(_));
            self.toll.add(is_server, count);
            self.exposed.add(&in_flight.numbers);
        }
        Ok(())
    }

    /// Waits for messages in flight, where the kill is to meet some.
    fn await_moment(&mut self, kill: &Kill) -> Result<bool, BoxError> {
        self.look_for_dead()?;
        let Moment::AtWork(within) = kill.moment else {
            return Ok(true);
        };
        let victims = match kill.victim {
            Victim::Member(member) => &mut self.members[member..=member],
            Victim::Server(_) => &mut self.members[..],
        };
        let works = Deadline::after(TO_WORK).poll(|| {
            let works = victims.iter().any(|member| member.in_flight() > 0);
            let is_over = works || victims.iter_mut().any(Member::has_ended);
            is_over.then_some(works)
        });
        thread::sleep(within);
        Ok(works == Some(true))
    }

    /// Kills and starts again; says how many messages were in flight.
    fn strike(&mut self, kill: &Kill) -> Result<InFlight, BoxError> {
        let before = self.before(kill.victim)?;
        let in_flight = match kill.victim {
            Victim::Member(member) => {
                self.members[member].kill()?;
                let in_flight = self.in_flight(member, &before);
                thread::sleep(kill.down);
                self.members[member].start()?;
                in_flight
            }
            Victim::Server(server) => {
                self.part(server).kill()?;
                thread::sleep(kill.down);
                self.part(server).restart()?;
                // What clients had fetched ahead was in flight, and is taken meanwhile.
                let members = 0..self.members.len();
                let all = members.map(|member| self.in_flight(member, &before));
                all.fold(InFlight::default(), InFlight::and)
            }
        };
        Ok(in_flight)
    }

    fn before(&mut self, victim: Victim) -> Result<Before, BoxError> {
        let confirmed = self.members.iter().map(Member::confirmed).collect();
        let settled = self.settled()?;
        if victim == Victim::Server(Server::Source) {
            self.source.await_written();
        }
        Ok(Before { confirmed, settled })
    }

    /// A server that has just been started may need a while until it knows.
    fn settled(&mut self) -> Result<Option<Box<dyn Settled>>, BoxError> {
        let mut settled = Ok(None);
        Deadline::after(TO_ANSWER).poll(|| {
            settled = self.source.settled();
            settled.is_ok().then_some(())
        });
        settled
    }

    /// What a member has taken up to now, and had not settled then.
    fn in_flight(&self, member: usize, before: &Before) -> InFlight {
        let mut numbers = self.members[member].taken();
        if let Some(settled) = &before.settled {
            numbers.retain(|number| !settled.has(*number));
            numbers.sort_unstable();
            numbers.dedup();
            return InFlight {
                count: numbers.len() as u64,
                numbers,
            };
        }
        InFlight {
            count: (numbers.len() as u64).saturating_sub(before.confirmed[member]),
            numbers,
        }
    }

    /// A process that has ended though nobody killed it is a problem.
    fn look_for_dead(&mut self) -> Result<(), BoxError> {
        for member in &mut self.members {
            if let Some(status) = member.ended()? {
                let problem = format!("member {} ended by itself: {status}", member.name());
                self.problems.push(problem);
                member.kill()?;
            }
        }
        Ok(())
    }

    /// Nobody kills any more: everything must come through, and the processes must end well.
    fn become_quiet(&mut self) -> Result<(), BoxError> {
        let mut left = Ok(u64::MAX);
        Deadline::after(TO_BE_QUIET).poll(|| {
            left = self.source.left();
            let is_over = matches!(left, Ok(0)) || self.members.iter_mut().all(Member::has_ended);
            is_over.then_some(())
        });
        let waited = TO_BE_QUIET.as_secs();
        match left {
            Ok(0) => {}
            Ok(left) => {
                let problem = format!("{left} messages are left {waited} s after the last kill");
                self.problems.push(problem);
            }
            Err(error) => self
                .problems
                .push(format!("what is left: {}", chain(&*error))),
        }
        self.look_for_dead()?;
        for member in self.members.iter_mut().filter(|member| member.is_alive()) {
            let problem = match member.end(TO_END)? {
                Some(status) if status.success() => continue,
                Some(status) => format!("member {} ended with {status}", member.name()),
                None => format!("member {} does not end", member.name()),
            };
            self.problems.push(problem);
        }
        Ok(())
    }

    fn verdict(&self, sent: &Sent, seed: u64) -> Result<Verdict, BoxError> {
        Ok(Verdict::of(seed, sent, &self.store.rows()?, &self.exposed))
    }

    /// How many messages were taken after they had been taken before.
    fn redelivered(&self) -> u64 {
        let mut taken: Vec<_> = self.members.iter().flat_map(Member::all_taken).collect();
        let all = taken.len();
        taken.sort_unstable();
        taken.dedup();
        (all - taken.len()) as u64
    }

    fn logs(&self) -> String {
        self.members.iter().map(Member::logs).collect()
    }
}

/// What each process of the run is told.
fn arguments(options: &Run, from: &str, to: &str) -> Vec<String> {
    let mut arguments = Vec::from([
        format!("--route={}", word(&options.route)),
        format!("--store={}", word(&options.store())),
        format!("--sink={}", word(&options.sink)),
        format!("--from={from}"),
        format!("--to={to}"),
    ]);
    if options.fault.acknowledge_early {
        arguments.push("--acknowledge-early".to_owned());
    }
    arguments
}
