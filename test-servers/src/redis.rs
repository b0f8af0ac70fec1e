//! A Redis.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::not_here::NotHere;
use crate::places;
use crate::ports::Reserved;
use crate::server::{Kind, Launch, Server};
use crate::signal::Signal;

const KIND: Kind = Kind {
    name: "redis",
    help: "`cargo xtask services` or `apt-get install redis-server` gets it, REDIS_SERVER says \
           where it is",
    stop: Signal::Terminate,
    end: Signal::Kill,
};

/// Of each question whether it is there.
const PATIENCE: Duration = Duration::from_secs(1);

/// It stores nothing.
const OPTIONS: [&str; 4] = ["--save", "", "--appendonly", "no"];

/// A Redis of one's own, which keeps everything in memory; it ends when dropped.
#[derive(Debug)]
pub struct Redis {
    server: Server,
}

impl Redis {
    /// Starts it on a free port, and returns when it answers.
    ///
    /// # Errors
    ///
    /// When it is not wanted, not there, or does not answer.
    pub fn start() -> Result<Self, NotHere> {
        let program = KIND.find(|| places::REDIS.find())?;
        let server = Server::start(KIND, || prepare(&program), answers)?;
        Ok(Self { server })
    }

    /// Its address with all that a client needs: `redis://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// Its address; the same after a restart.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Ends it without any warning, and returns when it is gone, with all that it held.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Starts it again, empty, with the same port, and returns when it answers; kills it first
    /// where it still runs.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub fn restart(&mut self) -> Result<(), NotHere> {
        self.server.restart(answers)
    }
}

fn prepare(program: &Path) -> io::Result<Launch> {
    let (folder, port) = (TempDir::new()?, Reserved::new()?);
    let program = program.display().to_string();
    let (host, number) = (port.address().ip(), port.address().port());
    let own = format!("{program}\n--bind\n{host}\n--port\n{number}");
    let command = own.split('\n').chain(OPTIONS);
    Ok(Launch {
        command: command.map(str::to_owned).collect(),
        folder: folder.into(),
        ports: vec![port],
    })
}

fn answers(launch: &Launch) -> bool {
    ping(launch.address()).is_ok_and(|said| said == *b"+PONG\r\n")
}

fn ping(address: SocketAddr) -> io::Result<[u8; 7]> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"PING\r\n")?;
    let mut said = [0; 7];
    stream.read_exact(&mut said)?;
    Ok(said)
}
