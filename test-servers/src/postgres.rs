//! A PostgreSQL.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{fs, io};

use tempfile::TempDir;

use crate::certificates::{self, AUTHORITY};
use crate::http;
use crate::not_here::NotHere;
use crate::places;
use crate::ports::Reserved;
use crate::server::{Kind, Launch, Server};
use crate::signal::Signal;
use crate::template::{self, run};

const KIND: Kind = Kind {
    name: "postgresql",
    help: "`cargo xtask services` or `apt-get install postgresql` gets it, POSTGRES says where \
           the server is",
    // The fast shutdown: the usual one waits for all clients.
    stop: Signal::Interrupt,
    // It gives its shared memory back, which it cannot when it is killed.
    end: Signal::Quit,
};

/// Of each question whether it is there.
const PATIENCE: Duration = Duration::from_secs(1);

/// It refuses to run as root.
const UNPRIVILEGED: &str = r#"
[ "$(id -u)" = 0 ] || exec "$@"
exec setpriv --reuid="$(id -u nobody)" --regid="$(id -g nobody)" --clear-groups "$@"
"#;

/// Whoever runs it can reach its folder.
const OPEN_FOLDER: &str = r#"[ "$(id -u)" != 0 ] || chmod 711 ."#;
const MAKE_DATA: &str = r#"
mkdir data && [ "$(id -u)" = 0 ] || exit
chown "$(id -u nobody):$(id -g nobody)" data
"#;

/// It reads no key that others can read.
const HAND_OVER: &str = r#"
chmod 600 tls/server.key && [ "$(id -u)" = 0 ] || exit
chmod 711 tls && chown "$(id -u nobody)" tls/server.key
"#;

/// Nobody is asked for a password, until others say so.
const INIT: [&str; 10] = [
    "-D",
    DATA,
    "-A",
    "trust",
    "-U",
    "postgres",
    "-E",
    "UTF8",
    "--locale=C",
    "--no-sync",
];

/// Where the data is, and the socket for [`Postgres::psql`].
const DATA: &str = "data";

/// What a killed process has written is not lost; only what a crash of the machine would cost is
/// not paid for.
const SETTINGS: [&str; 6] = [
    "listen_addresses=127.0.0.1",
    "fsync=off",
    "full_page_writes=off",
    "shared_buffers=32MB",
    "wal_level=logical",
    "max_connections=200",
];

/// From the data folder.
const TLS_SETTINGS: [&str; 3] = [
    "ssl=on",
    "ssl_cert_file=../tls/server.pem",
    "ssl_key_file=../tls/server.key",
];

/// The code of the error that it is still starting.
const NOT_YET: &[u8] = b"57P03";

/// A PostgreSQL of one's own, with the database and the user `postgres`; it ends when dropped.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    psql: PathBuf,
    /// The user, and the password where there is one.
    login: String,
    query: &'static str,
}

/// Who may use it from the network; [`Postgres::psql`] always may.
#[derive(Debug)]
enum Access {
    Open,
    Password(String),
    /// With the program that makes certificates.
    Tls(PathBuf),
}

impl Postgres {
    /// Starts it on a free port, and returns when it answers.
    ///
    /// # Errors
    ///
    /// When it is not wanted, not there, or does not answer.
    pub fn start() -> Result<Self, NotHere> {
        Self::start_with(&Access::Open)
    }

    /// One that asks for this password.
    ///
    /// # Errors
    ///
    /// When it is not wanted, not there, or does not answer.
    pub fn with_password(password: &str) -> Result<Self, NotHere> {
        let postgres = Self::start_with(&Access::Password(password.to_owned()))?;
        let quoted = password.replace('\'', "''");
        postgres.psql(&format!("alter role postgres password '{quoted}'"));
        Ok(postgres)
    }

    /// One that is reached by TLS only, with a certificate of [an authority](Self::ca_path) that
    /// nobody knows.
    ///
    /// # Errors
    ///
    /// When it or OpenSSL is not wanted, not there, or does not answer.
    pub fn with_tls() -> Result<Self, NotHere> {
        Self::start_with(&Access::Tls(certificates::find()?))
    }

    fn start_with(access: &Access) -> Result<Self, NotHere> {
        let program = KIND.find(|| places::POSTGRES.find())?;
        // Links may lead to it; what else there is of it is beside the file itself.
        let program = program.canonicalize().unwrap_or(program);
        Ok(Self {
            server: Server::start(KIND, || prepare(&program, access), answers)?,
            psql: program.with_file_name("psql"),
            login: access.login(),
            query: access.query(),
        })
    }

    /// Its address with all that a client needs: `postgres://postgres@127.0.0.1:PORT/postgres`,
    /// or with a password, or with `?sslmode=require`.
    #[must_use]
    pub fn url(&self) -> String {
        let (login, address, query) = (&self.login, self.address(), self.query);
        format!("postgres://{login}@{address}/postgres{query}")
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

    /// Executes statements, and returns the rows: a line for each, with `|` between the columns.
    /// It needs no password, whatever others need.
    ///
    /// # Panics
    ///
    /// When a statement fails, or nobody answers.
    #[track_caller]
    pub fn psql(&self, sql: &str) -> String {
        let output = self.psql_command(sql).output();
        let output = output.expect("psql is beside the server");
        let said = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "psql: {errors}\n{sql}");
        said.trim_end().to_owned()
    }

    /// The same, to be run.
    #[must_use]
    pub fn psql_command(&self, sql: &str) -> Command {
        let mut command = Command::new(&self.psql);
        command
            .args(["-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-c", sql])
            .args(["-U", "postgres", "-d", "postgres", "-h"])
            .arg(self.server.folder().join(DATA))
            .args(["-p", &self.address().port().to_string()])
            .env("PGCONNECT_TIMEOUT", "20");
        command
    }

    /// Ends it without any warning, and returns when it is gone; what it has stored stays.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Asks it to end, and returns when it is gone: it closes all connections, and tells its
    /// clients why.
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

    /// Lets it and all its sessions do nothing any more; the connections stay.
    pub fn freeze(&mut self) {
        self.server.freeze();
    }

    /// Lets it go on after [`freeze`](Self::freeze).
    pub fn thaw(&mut self) {
        self.server.thaw();
    }
}

fn prepare(program: &Path, access: &Access) -> io::Result<Launch> {
    let (folder, port) = (TempDir::new()?, Reserved::new()?);
    make_data(program, folder.path())?;
    let rules = format!("local all all trust\n{}\n", access.rule());
    fs::write(folder.path().join("data/pg_hba.conf"), rules)?;
    if let Access::Tls(openssl) = access {
        certificates::make(openssl, folder.path())?;
        shell(HAND_OVER, folder.path())?;
    }
    let number = format!("port={}", port.address().port());
    let settings = SETTINGS.iter().chain(access.settings()).copied();
    let settings = settings
        .chain([&*number])
        .flat_map(|setting| ["-c", setting]);
    let own = ["-D", DATA, "-k", "."];
    Ok(Launch {
        command: unprivileged(program, own.into_iter().chain(settings)),
        folder: folder.into(),
        ports: vec![port],
    })
}

fn make_data(program: &Path, folder: &Path) -> io::Result<()> {
    shell(OPEN_FOLDER, folder)?;
    let output = Command::new(program).arg("--version").output()?;
    let version = String::from_utf8_lossy(&output.stdout);
    let words: Vec<_> = version.split_whitespace().collect();
    let kept = format!("postgresql-data-{}", words.join("-").replace('/', "-"));
    let make = || init(&program.with_file_name("initdb"), folder);
    template::copied(&kept, &folder.join(DATA), make)
}

fn init(initdb: &Path, folder: &Path) -> io::Result<()> {
    shell(MAKE_DATA, folder)?;
    let words = unprivileged(initdb, INIT);
    let mut command = Command::new(&words[0]);
    run(command.args(&words[1..]).current_dir(folder))
}

fn shell(script: &str, folder: &Path) -> io::Result<()> {
    let mut shell = Command::new("sh");
    run(shell.args(["-c", script]).current_dir(folder))
}

fn unprivileged<'a>(program: &Path, args: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let start = ["sh", "-c", UNPRIVILEGED, "sh"].map(str::to_owned);
    let program = program.display().to_string();
    let args = args.into_iter().map(str::to_owned);
    start.into_iter().chain([program]).chain(args).collect()
}

fn answers(launch: &Launch) -> bool {
    ask(launch.address()).unwrap_or(false)
}

/// Whether it would take a login, whatever comes of that.
fn ask(address: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = b"\0\0\0\x29\0\x03\0\0user\0postgres\0database\0postgres\0\0";
    stream.write_all(request)?;
    let mut answer = [0; 1024];
    let size = stream.read(&mut answer)?;
    let is_early = answer[..size]
        .windows(NOT_YET.len())
        .any(|part| part == NOT_YET);
    Ok(size > 0 && !is_early)
}

// === impl Access ===

impl Access {
    fn login(&self) -> String {
        match self {
            Self::Password(password) => format!("postgres:{}", http::encoded(password)),
            Self::Open | Self::Tls(_) => "postgres".to_owned(),
        }
    }

    fn query(&self) -> &'static str {
        match self {
            Self::Tls(_) => "?sslmode=require",
            Self::Open | Self::Password(_) => "",
        }
    }

    /// For connections over the network.
    fn rule(&self) -> &'static str {
        match self {
            Self::Open => {
                "host all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust"
            }
            Self::Password(_) => "host all all 127.0.0.1/32 scram-sha-256",
            Self::Tls(_) => "hostssl all all 127.0.0.1/32 trust",
        }
    }

    fn settings(&self) -> &'static [&'static str] {
        match self {
            Self::Tls(_) => &TLS_SETTINGS,
            Self::Open | Self::Password(_) => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_request_says_how_long_it_is() {
        let request = b"\0\0\0\x29\0\x03\0\0user\0postgres\0database\0postgres\0\0";
        assert_eq!(usize::from(request[3]), request.len());
    }
}
