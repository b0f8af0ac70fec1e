//! A Kafka of one node.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use tempfile::TempDir;

use crate::certificates::{self, AUTHORITY};
use crate::clock::Deadline;
use crate::not_here::NotHere;
use crate::ports::Reserved;
use crate::proxy::Proxy;
use crate::server::{Kind, Launch, Server};
use crate::signal::Signal;

mod config;
mod java;
mod wire;

use config::Door;
use java::Java;

const KIND: Kind = Kind {
    name: "kafka",
    help: "`cargo xtask services` gets it with Maven, KAFKA_JAR says where its main jar is with \
           all others beside it, and JAVA where Java is",
    stop: Signal::Terminate,
    end: Signal::Kill,
};

/// Until a new topic can be used.
const PATIENCE: Duration = Duration::from_secs(60);

/// A Kafka of one's own, of one node; it ends when dropped. Topics are not made by their use.
#[derive(Debug)]
pub struct Kafka {
    server: Server,
    /// Beside that for everybody.
    door: Option<Door>,
}

impl Kafka {
    /// Starts it on free ports, and returns when it answers.
    ///
    /// # Errors
    ///
    /// When it is not wanted, not there, or does not answer.
    pub fn start() -> Result<Self, NotHere> {
        Self::start_with(None, None)
    }

    /// One whose address for clients, [`addr`](Proxy::addr) of the proxy, is all that they learn
    /// of it there. At [`address`](Self::address) it is still reached without the proxy.
    ///
    /// # Errors
    ///
    /// When it is not wanted, not there, or does not answer.
    pub fn start_with_proxy() -> Result<(Self, Proxy), NotHere> {
        let port = reserve()?;
        let proxy = Proxy::to(port.address());
        let kafka = Self::start_with(Some(Door::proxied(port, proxy.addr())), None)?;
        Ok((kafka, proxy))
    }

    /// One with [`brokers`](Self::brokers) that only this user may use, by SASL's PLAIN without
    /// TLS.
    ///
    /// # Errors
    ///
    /// When it is not wanted, not there, or does not answer.
    pub fn with_user(user: &str, password: &str) -> Result<Self, NotHere> {
        Self::start_with(Some(Door::with_user(reserve()?, user, password)), None)
    }

    /// One with [`brokers`](Self::brokers) that are reached by TLS only, with a certificate of
    /// [an authority](Self::ca_path) that nobody knows.
    ///
    /// # Errors
    ///
    /// When it or OpenSSL is not wanted, not there, or does not answer.
    pub fn with_tls() -> Result<Self, NotHere> {
        let openssl = certificates::find()?;
        Self::start_with(Some(Door::with_tls(reserve()?)), Some(&openssl))
    }

    fn start_with(door: Option<Door>, openssl: Option<&Path>) -> Result<Self, NotHere> {
        let java = Java::find()?;
        let prepare = || prepare(&java, door.as_ref(), openssl);
        let server = Server::start(KIND, prepare, answers)?;
        // It need not be there yet when that is done.
        drop(wire::find_coordinator(server.address()));
        Ok(Self { server, door })
    }

    /// Leaves beside its jars what lets each later start take half the time, where that is not
    /// there yet.
    ///
    /// # Errors
    ///
    /// When it is not wanted, not there, or does not answer, or nothing can be left there.
    pub fn archive() -> Result<(), NotHere> {
        let java = Java::find()?;
        let place = java.archive();
        if place.is_file() {
            return Ok(());
        }
        let beside = place.with_extension("unfinished");
        let prepare = || {
            let command = java.archiving_server(&beside);
            prepare(&java, None, None).map(|launch| Launch { command, ..launch })
        };
        let mut server = Server::start(KIND, prepare, answers)?;
        drop(wire::find_coordinator(server.address()));
        server.stop();
        fs::rename(beside, place).map_err(|source| KIND.not_started(source))
    }

    /// What clients are told to find it: `127.0.0.1:PORT`.
    #[must_use]
    pub fn brokers(&self) -> String {
        let door = self.door.as_ref().map(Door::address);
        door.unwrap_or_else(|| self.address()).to_string()
    }

    /// Where it is reached by everybody without TLS or password; the same after a restart.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The certificate of the authority, as PEM; there only [with TLS](Self::with_tls).
    #[must_use]
    pub fn ca_path(&self) -> PathBuf {
        self.server.folder().join(AUTHORITY)
    }

    /// Where it writes what it has to say.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.server.log_path()
    }

    /// Creates a topic that is not there yet, and returns when it can be used.
    ///
    /// # Panics
    ///
    /// When it refuses that, or does not answer.
    #[track_caller]
    pub fn create_topic(&self, name: &str, partitions: u32) {
        let address = self.address();
        if let Err(error) = wire::create_topic(address, name, partitions) {
            panic!("kafka creates no topic {name}: {error}");
        }
        let is_there = Deadline::after(PATIENCE).poll(|| {
            let found = wire::metadata(address, Some(name)).ok()?;
            let is_there = !found.leaders.is_empty() && found.leaders.iter().all(|led| *led);
            is_there.then_some(())
        });
        assert!(is_there.is_some(), "nobody leads the topic {name}");
    }

    /// How many partitions a topic has; 0 where there is no such topic.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub fn partitions(&self, topic: &str) -> io::Result<usize> {
        let found = wire::metadata(self.address(), Some(topic))?;
        Ok(found.leaders.len())
    }

    /// What a client is told of where the brokers are that comes by this address.
    ///
    /// # Errors
    ///
    /// When nobody answers there.
    pub fn advertised(&self, address: SocketAddr) -> io::Result<Vec<String>> {
        Ok(wire::metadata(address, None)?.brokers)
    }

    /// Ends it without any warning, and returns when it is gone; what it has stored stays.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Asks it to end, and returns when it is gone; what it has stored stays.
    pub fn stop(&mut self) {
        self.server.stop();
    }

    /// Starts it again with the same ports and data, and returns when it answers; kills it first
    /// where it still runs.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub fn restart(&mut self) -> Result<(), NotHere> {
        self.server.restart(answers)
    }

    /// Lets it do nothing any more; its connections stay.
    pub fn freeze(&mut self) {
        self.server.freeze();
    }

    /// Lets it go on after [`freeze`](Self::freeze).
    pub fn thaw(&mut self) {
        self.server.thaw();
    }
}

fn reserve() -> Result<Reserved, NotHere> {
    Reserved::new().map_err(|source| KIND.not_started(source))
}

fn answers(launch: &Launch) -> bool {
    wire::metadata(launch.address(), None).is_ok_and(|found| !found.brokers.is_empty())
}

fn prepare(java: &Java, door: Option<&Door>, openssl: Option<&Path>) -> io::Result<Launch> {
    let folder = TempDir::new()?;
    if let Some(openssl) = openssl {
        certificates::make(openssl, folder.path())?;
    }
    let ports = vec![Reserved::new()?, Reserved::new()?];
    let config = config::config(ports[0].address(), ports[1].address(), door);
    fs::write(folder.path().join(config::FILE), config)?;
    java.format(folder.path())?;
    Ok(Launch {
        command: java.server(),
        folder: folder.into(),
        ports,
    })
}
