//! A Redis server of a test's own, which ends with the test however that ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    env, fs,
    net::TcpListener,
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    thread,
    time::Duration,
};

use redis::Connection;
use tempfile::TempDir;
use tokio::time::Instant;
use towpath_policy::RedisStore;
use towpath_test_servers::{WITHOUT, is_unwanted};

/// By this name the tests can do without it.
const NAME: &str = "redis";

pub(crate) struct Server {
    folder: TempDir,
    port: u16,
    running: Option<Running>,
}

/// A shell that kills the server when its input ends: also when the test is killed.
struct Running {
    shell: Child,
    input: Option<ChildStdin>,
}

const GUARD: &str = r#""$@" & server=$!; cat >/dev/null; kill -KILL $server; wait"#;
const PATIENCE: Duration = Duration::from_secs(20);

impl Server {
    /// A server that answers; `None` where the tests are told to do without.
    #[must_use]
    pub(crate) fn start() -> Option<Self> {
        if is_unwanted(NAME) {
            eprintln!("not run: {WITHOUT} names {NAME}");
            return None;
        }
        let mut server = Self {
            folder: TempDir::new().unwrap(),
            port: free_port(),
            running: None,
        };
        server.restart();
        Some(server)
    }

    /// Starts it again, empty, where it was.
    pub(crate) fn restart(&mut self) {
        self.running = Some(Running::start(&self.command()));
        let start = Instant::now();
        while self.connect().is_err() {
            assert!(
                start.elapsed() < PATIENCE,
                "no answer; its log:\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills it. Whoever is connected notices or not.
    pub(crate) fn kill(&mut self) {
        self.running = None;
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn store(&self) -> RedisStore {
        RedisStore::new(self.url()).unwrap()
    }

    pub(crate) fn connection(&self) -> Connection {
        self.connect().unwrap()
    }

    fn connect(&self) -> redis::RedisResult<Connection> {
        let mut connection = redis::Client::open(self.url())?.get_connection()?;
        redis::cmd("PING").exec(&mut connection)?;
        Ok(connection)
    }

    fn command(&self) -> Vec<String> {
        let folder = self.folder.path().display().to_string();
        let port = self.port.to_string();
        let program = program().display().to_string();
        let options = [
            "--bind",
            "127.0.0.1",
            "--port",
            &port,
            "--dir",
            &folder,
            "--logfile",
            "log",
            "--save",
            "",
            "--appendonly",
            "no",
        ];
        [&*program]
            .iter()
            .chain(&options)
            .map(ToString::to_string)
            .collect()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Running {
    fn start(command: &[String]) -> Self {
        let mut shell = Command::new("sh")
            .args(["-c", GUARD, "sh"])
            .args(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let input = shell.stdin.take();
        Self { shell, input }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.input = None;
        self.shell.wait().unwrap();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Where the server is. Its absence is a failure: a test that is not run proves nothing.
fn program() -> PathBuf {
    let named = env::var_os("REDIS_SERVER").map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let in_path = || env::split_paths(&path).map(|folder| folder.join("redis-server"));
    let mut places = named
        .map_or_else(|| in_path().collect(), |place| vec![place])
        .into_iter();
    places.find(|place| place.is_file()).expect(
        "redis-server is needed: `apt-get install redis-server` gets it, REDIS_SERVER says \
         where it is, TOWPATH_WITHOUT_SERVERS=redis does without these tests",
    )
}
