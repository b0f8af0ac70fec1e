//! A NATS server with JetStream.

use std::fs;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::certificates::{self, AUTHORITY, CERTIFICATE, KEY};
use crate::not_here::NotHere;
use crate::places;
use crate::ports::Reserved;
use crate::server::{Kind, Launch, Server};
use crate::signal::Signal;

const KIND: Kind = Kind {
    name: "nats",
    help: "`cargo xtask services` or `apt-get install nats-server` gets it, NATS_SERVER says \
           where it is",
    stop: Signal::Terminate,
    end: Signal::Kill,
};

/// Of the server itself, in its folder.
const CONFIG: &str = "server.conf";

/// Of each question whether it is there.
const PATIENCE: Duration = Duration::from_secs(1);

/// A NATS server of one's own, with JetStream on files; it ends when dropped.
#[derive(Debug)]
pub struct Nats {
    server: Server,
    /// All of the address before the host.
    scheme: String,
}

impl Nats {
    /// Starts it on a free port, and returns when it answers.
    ///
    /// # Errors
    ///
    /// When it is not wanted, not there, or does not answer.
    pub fn start() -> Result<Self, NotHere> {
        Self::start_with("nats://", &[], |_| Ok(()))
    }

    /// One that only this user may use.
    ///
    /// # Errors
    ///
    /// When it is not wanted, not there, or does not answer.
    pub fn with_user(user: &str, password: &str) -> Result<Self, NotHere> {
        let args = ["--user", user, "--pass", password];
        Self::start_with(&format!("nats://{user}:{password}@"), &args, |_| Ok(()))
    }

    /// One with this in its configuration file: who may log in and how, for example.
    ///
    /// # Errors
    ///
    /// When it is not wanted, not there, or does not answer.
    pub fn with_config(config: &str) -> Result<Self, NotHere> {
        Self::start_with("nats://", &["-c", CONFIG], |folder| {
            fs::write(folder.join(CONFIG), config)
        })
    }

    /// One that is reached by TLS only, with a certificate of [an authority](Self::ca_path) that
    /// nobody knows.
    ///
    /// # Errors
    ///
    /// When it or OpenSSL is not wanted, not there, or does not answer.
    pub fn with_tls() -> Result<Self, NotHere> {
        let openssl = certificates::find()?;
        let files = ["--tlscert", CERTIFICATE, "--tlskey", KEY];
        let args = [&["--tls"], &files[..]].concat();
        Self::start_with("tls://", &args, |folder| {
            certificates::make(&openssl, folder)
        })
    }

    /// `furnish` puts into its folder what the arguments name.
    fn start_with(
        scheme: &str,
        args: &[&str],
        furnish: impl Fn(&Path) -> io::Result<()>,
    ) -> Result<Self, NotHere> {
        let program = KIND.find(|| places::NATS.find())?;
        let server = Server::start(KIND, || prepare(&program, args, &furnish), answers)?;
        let scheme = scheme.to_owned();
        Ok(Self { server, scheme })
    }

    /// Its address with all that a client needs: `nats://127.0.0.1:PORT`, or with a user and a
    /// password, or with `tls`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}{}", self.scheme, self.address())
    }

    /// The certificate of the authority, as PEM; there only [with TLS](Self::with_tls).
    #[must_use]
    pub fn ca_path(&self) -> PathBuf {
        self.server.folder().join(AUTHORITY)
    }

    /// Its address; the same after a restart.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Where it writes what it has to say.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.server.log_path()
    }

    /// Ends it without any warning, and returns when it is gone; what it has stored stays.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Asks it to end, and returns when it is gone; what it has stored stays.
    pub fn stop(&mut self) {
        self.server.stop();
    }

    /// Starts it again with the same port and data, and returns when it answers; kills it first
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

fn prepare(
    program: &Path,
    args: &[&str],
    furnish: impl Fn(&Path) -> io::Result<()>,
) -> io::Result<Launch> {
    let (folder, port) = (TempDir::new()?, Reserved::new()?);
    furnish(folder.path())?;
    let program = program.display().to_string();
    let (host, number) = (port.address().ip(), port.address().port());
    let own = format!("{program}\n-a\n{host}\n-p\n{number}\n-js\n-sd\ndata");
    let command = own.split('\n').chain(args.iter().copied());
    Ok(Launch {
        command: command.map(str::to_owned).collect(),
        folder: folder.into(),
        ports: vec![port],
    })
}

/// It is the first to speak, and tells what it can.
fn answers(launch: &Launch) -> bool {
    greeting(launch.address()).is_ok_and(|said| said.contains("\"jetstream\":true"))
}

fn greeting(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut said = [0; 4096];
    let mut size = 0;
    // One line.
    while !said[..size].ends_with(b"\r\n") {
        let more = stream.read(&mut said[size..])?;
        if more == 0 {
            break;
        }
        size += more;
    }
    Ok(String::from_utf8_lossy(&said[..size]).into_owned())
}
