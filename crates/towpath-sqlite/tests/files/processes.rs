//! Processes that share a queue, and are killed.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use towpath::{Batcher, BoxError, Flow, Pipeline, Processor, SinkStage, Source};
use towpath_sqlite::{
    Bind, SqliteMessage, SqliteQueue, SqliteQueueOptions, SqliteSink, SqliteSinkOptions,
    SqliteSource, SqliteSourceOptions, Sync,
};

use crate::support::{column, drained, folder, queue, quick, text, until, until_done};

/// Set for a process that plays a part in place of running the test: the folder.
const FOLDER: &str = "TOWPATH_TEST_SQLITE";
/// Before what a process has to say.
const MARK: &str = "says ";

/// A process that runs the test of that name; killed when it is dropped.
struct Part {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Part {
    fn play(test: &str, folder: &Path) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "--nocapture", &format!("processes::{test}")])
            .env(FOLDER, folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// What it says next; `None` when it has ended.
    fn next(&mut self) -> Option<u64> {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            // What was cut off by the kill was not said.
            let said = line.find(MARK).map(|at| &line[at + MARK.len()..]);
            if let Some(number) = said.and_then(|said| said.strip_suffix('\n')) {
                return Some(number.parse().unwrap());
            }
            line.clear();
        }
        None
    }

    /// Kills it with SIGKILL, and returns what it had still said.
    fn kill(mut self) -> Vec<u64> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::iter::from_fn(|| self.next()).collect()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn part() -> Option<PathBuf> {
    env::var_os(FOLDER).map(PathBuf::from)
}

fn say(number: u64) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{MARK}{number}").unwrap();
    out.flush().unwrap();
}

fn is_sound(path: &Path) -> bool {
    column::<String>(path, "PRAGMA integrity_check") == ["ok"]
}

#[test]
fn nothing_that_was_acknowledged_is_lost_when_the_process_that_puts_in_is_killed() {
    const NAME: &str =
        "nothing_that_was_acknowledged_is_lost_when_the_process_that_puts_in_is_killed";
    if let Some(folder) = part() {
        let queue = queue(folder.join("a.queue"));
        let first = queue.depth_blocking().unwrap().messages * 1000;
        for number in first.. {
            let payloads = (0..=number % 3).map(|_| number.to_string());
            queue.enqueue_many_blocking(payloads).unwrap();
            say(number);
        }
    }
    let folder = folder();
    let mut acknowledged = Vec::new();
    for round in 0..12 {
        let mut part = Part::play(NAME, folder.path());
        acknowledged.extend((0..=round * 7).map(|_| part.next().unwrap()));
        acknowledged.extend(part.kill());
    }
    let path = folder.path().join("a.queue");
    assert!(is_sound(&path));
    let payloads = "SELECT CAST(CAST(payload AS TEXT) AS INTEGER) FROM towpath_body ORDER BY id";
    let stored: Vec<i64> = column(&path, payloads);
    let stored: Vec<u64> = stored.into_iter().map(|n| n.try_into().unwrap()).collect();
    for number in &acknowledged {
        let copies = stored.iter().filter(|stored| *stored == number).count() as u64;
        assert_eq!(copies, number % 3 + 1, "of {number}");
    }
    // A call is all in or not at all, also one that nobody has heard of.
    let whole = stored
        .chunk_by(|a, b| a == b)
        .all(|chunk| chunk.len() as u64 == chunk[0] % 3 + 1);
    assert!(whole, "{stored:?}");
    let depth = queue(&path).depth_blocking().unwrap();
    assert_eq!(depth.messages, stored.len() as u64);
}

const LEASE: Duration = Duration::from_millis(400);

/// Works on the queue of a folder; each message takes a while, and adds one to its row.
fn working(folder: &Path, takes: Duration) -> Pipeline {
    let options = SqliteSourceOptions::new(folder.join("a.queue"))
        .queue(quick())
        .lease(LEASE);
    let source = SqliteSource::new(options).unwrap();
    let add = "INSERT INTO counts VALUES (:id, 1) ON CONFLICT DO UPDATE SET count = count + 1";
    let bind = |id: &String, bind: &mut Bind<'_>| {
        bind.set("id", id);
    };
    let options = SqliteSinkOptions::new(folder.join("out.db")).sync(Sync::Off);
    let sink = SqliteSink::statement(options, add, bind).unwrap();
    let work = move |id: String| async move {
        tokio::time::sleep(takes).await;
        Ok::<_, BoxError>(id)
    };
    let table = "CREATE TABLE IF NOT EXISTS counts (id TEXT PRIMARY KEY, count INTEGER)";
    Flow::from(Source::new("queue", source))
        .decode(text)
        .process(Processor::new("work", work).unordered(2))
        .batch(
            Batcher::new("batch")
                .max_messages(16)
                .max_wait(Duration::from_millis(2)),
        )
        .sink(SinkStage::of("counts", sink.setup(table).once("applied")))
}

#[tokio::test]
async fn what_a_killed_process_worked_on_is_worked_on_by_the_next_and_counts_once() {
    const NAME: &str = "what_a_killed_process_worked_on_is_worked_on_by_the_next_and_counts_once";
    const MANY: usize = 3000;
    if let Some(folder) = part() {
        // Slowly, so that there is work left when it is killed, also where that is late.
        let running = working(&folder, Duration::from_millis(4));
        let running = running.start().await.unwrap();
        for done in 1.. {
            until_done(running.handle(), done * 5).await;
            say(done);
        }
    }
    let folder = folder();
    let queue = queue(folder.path().join("a.queue"));
    queue
        .enqueue_many((0..MANY).map(|n| n.to_string()))
        .await
        .unwrap();
    for round in 0..12 {
        let mut part = Part::play(NAME, folder.path());
        for _ in 0..=round * 3 {
            part.next().unwrap();
        }
        part.kill();
    }
    assert!(is_sound(&folder.path().join("a.queue")));
    assert!(
        queue.depth().await.unwrap().messages > 0,
        "the processes were to be killed at work"
    );
    let running = working(folder.path(), Duration::ZERO);
    let running = running.start().await.unwrap();
    until("all is done", || {
        queue.depth_blocking().unwrap().messages == 0
    })
    .await;
    drained(running).await;
    let counts: Vec<i64> = column(&folder.path().join("out.db"), "SELECT count FROM counts");
    assert_eq!(counts, vec![1; MANY]);
}

#[tokio::test]
async fn two_processes_share_the_work_and_none_of_it_is_done_twice() {
    const NAME: &str = "two_processes_share_the_work_and_none_of_it_is_done_twice";
    const MANY: u64 = 2000;
    let here = part();
    let is_other = here.is_some();
    let own = folder();
    let folder = here.as_deref().unwrap_or(own.path());
    let options = SqliteQueueOptions::default().sync(Sync::Off);
    let queue = SqliteQueue::open(folder.join("a.queue"), options.clone()).unwrap();
    let mut other = (!is_other).then(|| Part::play(NAME, folder));
    if let Some(other) = &mut other {
        assert_eq!(other.next(), Some(0), "it is there");
    }
    let work = Processor::new("work", move |queued: SqliteMessage| async move {
        tokio::time::sleep(Duration::from_millis(1)).await;
        if is_other {
            say(queued.id);
        }
        Ok::<_, BoxError>(())
    });
    let source = SqliteSourceOptions::new(folder.join("a.queue")).queue(options);
    let source = SqliteSource::new(source).unwrap();
    let pipeline = Flow::from(Source::new("queue", source))
        .process(work.unordered(8))
        .acknowledge();
    let running = pipeline.max_demand(16).start().await.unwrap();
    if is_other {
        say(0);
        std::future::pending::<()>().await;
    }
    let mut all = 0;
    let own_share = || running.handle().status().counts.done;
    // Again where one of them stood still until the other had done it all.
    while all == 0 || own_share() == 0 || own_share() == all {
        assert!(all < 20 * MANY, "{} of {all} here", own_share());
        let more = (0..MANY).map(|n| n.to_string());
        queue.enqueue_many(more).await.unwrap();
        all += MANY;
        until("all is done", || {
            queue.depth_blocking().unwrap().messages == 0
        })
        .await;
    }
    let mut there = other.unwrap().kill();
    there.sort_unstable();
    let count = there.len();
    there.dedup();
    assert_eq!(there.len(), count, "nothing twice");
    let mine = drained(running).await.counts.done;
    assert_eq!(mine + count as u64, all);
    assert!(mine > 0 && count > 0, "{mine} here and {count} there");
}
