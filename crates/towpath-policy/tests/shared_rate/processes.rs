//! Two and four processes that always have work share one budget.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    env,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::time::Instant;
use towpath_policy::{Decision, Quota, Rate, RateRequest, RateStore, RedisStore};

use crate::server::Server;

/// Set for a process that takes its share in place of running the test.
const SERVER: &str = "TOWPATH_TEST_SHARED_RATE";
const WORK: Duration = Duration::from_secs(3);

#[test]
fn two_processes_keep_one_budget_and_use_it() {
    let quota = Quota::new(Rate::per_second(200), 800);
    share("two_processes_keep_one_budget_and_use_it", 2, quota);
}

#[test]
fn four_processes_keep_one_budget_and_use_it() {
    let quota = Quota::new(Rate::new(12_000, Duration::from_secs(60)), 800);
    share("four_processes_keep_one_budget_and_use_it", 4, quota);
}

/// The parent starts this very test once more for each of its workers.
fn share(test: &str, processes: u32, quota: Quota) {
    if let Ok(url) = env::var(SERVER) {
        let admitted = take(&url, quota, WORK);
        println!("\n{SERVER}={admitted}");
        return;
    }
    let Some(server) = Server::start() else {
        return;
    };
    let monitor = Monitor::start(&server);
    let burst = take(&server.url(), quota, Duration::ZERO);
    let workers: Vec<_> = (0..processes)
        .map(|_| Worker::start(test, &server))
        .collect();
    let shares: Vec<_> = workers.into_iter().map(Worker::join).collect();
    let admitted = monitor.end(server);
    assert!(
        shares.iter().all(|share| *share > 0),
        "each gets some: {shares:?}"
    );
    assert_eq!(
        admitted.len(),
        burst + shares.iter().sum::<usize>(),
        "counted on both sides"
    );
    assert_exact(&admitted, quota);
    assert_used(&admitted[burst - 1..], quota);
}

/// Takes one after the other, at least for a while and until there is none; says how many.
fn take(url: &str, quota: Quota, work: Duration) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = RedisStore::new(url)
            .unwrap()
            .timeout(Duration::from_secs(10));
        let request = RateRequest::new("work", quota);
        let (start, mut admitted) = (Instant::now(), 0);
        loop {
            match store.acquire(request.clone()).await.unwrap() {
                Decision::Admitted => admitted += 1,
                Decision::Wait(_) if start.elapsed() >= work => return admitted,
                Decision::Wait(time) => tokio::time::sleep(time).await,
            }
        }
    })
}

/// Over any interval no more than the burst and what came in, by the clock of the server.
fn assert_exact(admitted: &[u64], quota: Quota) {
    let (count, period) = (
        u128::from(quota.rate.count()),
        quota.rate.period().as_micros(),
    );
    for (index, first) in admitted.iter().enumerate() {
        for (sum, last) in (1_u128..).zip(&admitted[index..]) {
            let most = u128::from(quota.burst) * period + count * u128::from(last - first);
            assert!(sum * period <= most, "{sum} within {} us", last - first);
        }
    }
}

/// At least 99 % of what came in after the first, which took the last of the burst. Whoever stood
/// still for a while has found it in the burst.
fn assert_used(admitted: &[u64], quota: Quota) {
    let period = quota.rate.period().as_micros();
    let time = u128::from(admitted.last().unwrap() - admitted.first().unwrap());
    let most = u128::from(quota.rate.count()) * time;
    let used = u128::try_from(admitted.len() - 1).unwrap() * period;
    let share = used * 100_000 / most;
    println!("{} within {time} us, {share} of 100000", admitted.len());
    assert!(share >= 99_000, "{} within {time} us", admitted.len());
}

struct Worker(Child);

impl Worker {
    fn start(test: &str, server: &Server) -> Self {
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "--nocapture", &format!("processes::{test}")])
            .env(SERVER, server.url())
            .stdout(Stdio::piped())
            .spawn();
        Self(child.unwrap())
    }

    fn join(mut self) -> usize {
        let output = BufReader::new(self.0.stdout.take().unwrap()).lines();
        let prefix = format!("{SERVER}=");
        let lines: Vec<_> = output.map(Result::unwrap).collect();
        let share = lines.iter().find_map(|line| line.strip_prefix(&prefix));
        assert!(self.0.wait().unwrap().success(), "{lines:?}");
        share.unwrap().parse().unwrap()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Nothing when it has ended.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Reads along what the server is told: each budget that is written is one admission, at
/// the time that stands in it.
struct Monitor(JoinHandle<Vec<u64>>);

impl Monitor {
    fn start(server: &Server) -> Self {
        let address = server.url().replace("redis://", "");
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"MONITOR\r\n").unwrap();
        let mut lines = BufReader::new(stream).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "+OK");
        Self(thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .filter_map(|line| admission(&line))
                .collect()
        }))
    }

    /// All admissions; the server ends so that the reading does.
    fn end(self, server: Server) -> Vec<u64> {
        redis::cmd("PING").exec(&mut server.connection()).unwrap();
        drop(server);
        self.0.join().unwrap()
    }
}

/// `+1700000000.000001 [0 lua] "SET" "key" "at:owed:token" "PX" "1"`
fn admission(line: &str) -> Option<u64> {
    let (_, command) = line.split_once("[0 lua] \"SET\" ")?;
    let budget = command.split("\" \"").nth(1)?;
    budget.split(':').next()?.parse().ok()
}
