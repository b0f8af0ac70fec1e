//! Which server, as whom, and for how long to wait for it.

mod tls;

use std::{fmt, path::PathBuf, time::Duration};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use tokio_postgres::{
    Config,
    config::{Host, SslMode},
};
use towpath_options::{Problems, Secret, duration};

pub(crate) use tls::{Tls, Wire};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);
const APPLICATION_NAME: &str = "towpath";

/// The settings of a URL that are named in an error: nothing else of it is ever shown.
const SETTINGS: [&str; 16] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "hostaddr",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "load_balance_hosts",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "target_session_attrs",
];

/// A PostgreSQL server: its address, who connects, how long anything may take.
///
/// The address is a URL or a list of settings, as other programs have them too:
/// `postgres://user:password@host:5432/database` or `host=.. user=.. dbname=..`. In options
/// it is that text, or a table with `url` and what else is set. It is never shown whole: of it
/// only host, port and database are.
///
/// ```
/// use std::time::Duration;
/// use towpath_postgres::PostgresOptions;
///
/// let server = PostgresOptions::new("postgres://orders:hush@db.internal/shop")
///     .statement_timeout(Duration::from_secs(10));
/// assert_eq!(server.to_string(), "db.internal:5432/shop");
/// assert!(!format!("{server:?}").contains("hush"));
/// ```
#[derive(Clone)]
pub struct PostgresOptions {
    settings: Settings,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    url: Secret,
    #[serde(default)]
    password: Option<Secret>,
    #[serde(default = "connect_timeout", with = "duration")]
    connect_timeout: Duration,
    #[serde(default = "statement_timeout", with = "duration")]
    statement_timeout: Duration,
    #[serde(default = "application_name")]
    application_name: String,
    #[serde(default)]
    ca: Option<PathBuf>,
}

fn connect_timeout() -> Duration {
    CONNECT_TIMEOUT
}

fn statement_timeout() -> Duration {
    STATEMENT_TIMEOUT
}

fn application_name() -> String {
    APPLICATION_NAME.to_owned()
}

// === impl PostgresOptions ===

impl PostgresOptions {
    /// A server by its URL, or by a list of settings.
    pub fn new(url: impl Into<Secret>) -> Self {
        Self {
            settings: Settings {
                url: url.into(),
                password: None,
                connect_timeout: CONNECT_TIMEOUT,
                statement_timeout: STATEMENT_TIMEOUT,
                application_name: application_name(),
                ca: None,
            },
        }
    }

    /// The password, in place of that in the URL: there it needs `%40` for `@`, and so on.
    #[must_use]
    pub fn password(mut self, password: impl Into<Secret>) -> Self {
        self.settings.password = Some(password.into());
        self
    }

    /// How long it may take to connect and to log in; 5 s unless set.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.settings.connect_timeout = timeout;
        self
    }

    /// How long the server may work on one statement before it gives up, locks included; 30 s
    /// unless set. A connection that says nothing for a little longer is given up here.
    #[must_use]
    pub fn statement_timeout(mut self, timeout: Duration) -> Self {
        self.settings.statement_timeout = timeout;
        self
    }

    /// What `pg_stat_activity` shows for the connections; `towpath` unless set.
    #[must_use]
    pub fn application_name(mut self, name: impl Into<String>) -> Self {
        self.settings.application_name = name.into();
        self
    }

    /// A file with the certificates, as PEM, of who may vouch for the server. The system's own
    /// are trusted where none is named. Needs the feature `tls`.
    #[must_use]
    pub fn ca(mut self, file: impl Into<PathBuf>) -> Self {
        self.settings.ca = Some(file.into());
        self
    }

    pub(crate) fn check(&self, problems: &mut Problems, path: &str) {
        problems.within(path, |problems| {
            let Settings {
                connect_timeout,
                statement_timeout,
                ..
            } = &self.settings;
            if let Err(problem) = self.config() {
                problems.add("url", problem);
            }
            if self.settings.ca.is_some() && !cfg!(feature = "tls") {
                problems.add("ca", "is for TLS, which the feature `tls` brings");
            }
            problems.expect_time("connect_timeout", *connect_timeout);
            problems.expect_time("statement_timeout", *statement_timeout);
        });
    }

    /// How to connect; the error holds nothing of the URL but names of settings.
    pub(crate) fn config(&self) -> Result<Config, String> {
        let Settings {
            url,
            password,
            connect_timeout,
            application_name,
            ..
        } = &self.settings;
        // Whoever is connected to by TLS is always checked here.
        let url = url
            .reveal()
            .replace("sslmode=verify-full", "sslmode=require")
            .replace("sslmode=verify-ca", "sslmode=require");
        let mut config: Config = url.parse().map_err(|error| unreadable(&error))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err("names no host".to_owned());
        }
        if config.get_hosts().iter().any(holds_more_than_a_host) {
            return Err(not_an_address());
        }
        if config.get_ssl_mode() == SslMode::Require && !cfg!(feature = "tls") {
            return Err("asks for TLS, which the feature `tls` brings".to_owned());
        }
        if let Some(password) = password {
            config.password(password.reveal());
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(*connect_timeout);
        }
        if config.get_application_name().is_none() {
            config.application_name(application_name);
        }
        Ok(config)
    }

    pub(crate) fn tls(&self) -> Result<Tls, String> {
        Tls::trusting(self.settings.ca.as_deref())
    }

    pub(crate) fn connects_within(&self) -> Duration {
        self.settings.connect_timeout
    }

    pub(crate) fn answers_within(&self) -> Duration {
        self.settings.statement_timeout
    }
}

/// Host, port and database.
impl fmt::Display for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.config() {
            Ok(config) => f.write_str(&shown(&config)),
            Err(_) => f.write_str("***"),
        }
    }
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("address", &self.to_string())
            .field("connect_timeout", &self.settings.connect_timeout)
            .field("statement_timeout", &self.settings.statement_timeout)
            .finish_non_exhaustive()
    }
}

impl From<&str> for PostgresOptions {
    fn from(url: &str) -> Self {
        Self::new(url)
    }
}

impl From<String> for PostgresOptions {
    fn from(url: String) -> Self {
        Self::new(url)
    }
}

impl<'de> Deserialize<'de> for PostgresOptions {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ServerVisitor)
    }
}

struct ServerVisitor;

impl<'de> Visitor<'de> for ServerVisitor {
    type Value = PostgresOptions;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the URL of a PostgreSQL server, or a map with `url`")
    }

    fn visit_str<E>(self, url: &str) -> Result<PostgresOptions, E> {
        Ok(PostgresOptions::new(url))
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<PostgresOptions, M::Error> {
        let settings = Settings::deserialize(MapAccessDeserializer::new(map))?;
        Ok(PostgresOptions { settings })
    }
}

/// Says what is wrong with a URL in the words of its reader only where those are names of
/// settings: they may hold a piece of a password otherwise.
fn unreadable(error: &tokio_postgres::Error) -> String {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    let named = cause.filter(|cause| {
        let names = |setting| cause.ends_with(&format!("`{setting}`"));
        SETTINGS.into_iter().any(names)
    });
    named.unwrap_or_else(not_an_address)
}

fn not_an_address() -> String {
    "is no address such as postgres://user:password@host:5432/database; in a password %40 stands \
     for @, %3A for :, %2F for / and %3F for ?"
        .to_owned()
}

/// What follows an `@` in a password that was not written as `%40` ends up in the host.
fn holds_more_than_a_host(host: &Host) -> bool {
    match host {
        Host::Tcp(host) => host.contains('@'),
        #[cfg(unix)]
        Host::Unix(path) => path.to_string_lossy().contains('@'),
    }
}

fn shown(config: &Config) -> String {
    let ports = config.get_ports();
    let named: Vec<_> = config.get_hosts().iter().map(host_name).collect();
    let addresses = config.get_hostaddrs().iter().map(ToString::to_string);
    let hosts = if named.is_empty() {
        addresses.collect()
    } else {
        named
    };
    let hosts = hosts.iter().enumerate().map(|(index, host)| {
        let port = ports.get(index).or_else(|| ports.first());
        format!("{host}:{}", port.unwrap_or(&5432))
    });
    let hosts = hosts.collect::<Vec<_>>().join(",");
    match config.get_dbname().or_else(|| config.get_user()) {
        Some(database) => format!("{hosts}/{database}"),
        None => hosts,
    }
}

fn host_name(host: &Host) -> String {
    match host {
        Host::Tcp(host) => host.clone(),
        #[cfg(unix)]
        Host::Unix(path) => path.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(server: &PostgresOptions) -> String {
        let mut problems = Problems::new();
        server.check(&mut problems, "server");
        problems
            .into_result()
            .map_or_else(|e| e.to_string(), |()| String::new())
    }

    #[test]
    fn nothing_of_an_address_is_shown_but_host_port_and_database() {
        for (url, expected) in [
            ("postgres://me:hush@host/db", "host:5432/db"),
            ("postgresql://me:hush@one:1,two:2/db", "one:1,two:2/db"),
            ("host=db password='hush hush' user=me", "db:5432/me"),
            ("postgres://host/db?user=me&password=hush", "host:5432/db"),
            ("postgres://me:a%40hush@host", "host:5432/me"),
            ("postgres://me:a?hush/hush@host/db", "host:5432/db"),
            ("postgres:///db?host=/run/pg", "/run/pg:5432/db"),
        ] {
            let server = PostgresOptions::new(url);
            assert_eq!(server.to_string(), expected, "{url}");
            assert!(!format!("{server:?}").contains("hush"));
        }
    }

    #[test]
    fn an_address_that_cannot_be_read_is_told_without_what_it_holds() {
        for url in [
            "postgres://me:hush@hush@host/db",
            "postgres://me:hush%zz@host:hush/db",
            "hush",
            "mysql://me:hush@host",
            "postgres://me:hush/hush@host?hush=1",
            "",
        ] {
            let server = PostgresOptions::new(url);
            let told = problems(&server);
            assert!(
                told.starts_with("invalid options: server.url: "),
                "{url}: {told}"
            );
            assert!(!told.contains("hush"), "{told}");
            assert!(
                !format!("{server} {server:?}").contains("hush"),
                "{server:?}"
            );
        }
    }

    #[test]
    fn a_setting_of_the_address_that_is_wrong_is_named() {
        let told = problems(&PostgresOptions::new("postgres://host/db?sslmode=maybe"));
        assert!(told.contains("`sslmode`"), "{told}");
        let told = problems(&PostgresOptions::new(
            "postgres://host/db?sslrootcert=ca.pem",
        ));
        assert!(told.contains("`sslrootcert`"), "{told}");
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let server = PostgresOptions::new("postgres:///")
            .connect_timeout(Duration::ZERO)
            .statement_timeout(Duration::MAX);
        let told = problems(&server);
        for path in ["url", "connect_timeout", "statement_timeout"] {
            assert!(told.contains(&format!("server.{path}: ")), "{told}");
        }
    }

    #[test]
    fn a_server_is_read_from_a_text_or_a_map() {
        let text: PostgresOptions = serde_json::from_str(r#""postgres://host/db""#).unwrap();
        assert_eq!(text.to_string(), "host:5432/db");
        let map = r#"{"url": "postgres://host/db", "password": "p@ss", "statement_timeout": "2s"}"#;
        let map: PostgresOptions = serde_json::from_str(map).unwrap();
        assert_eq!(map.answers_within(), Duration::from_secs(2));
        let config = map.config().unwrap();
        assert_eq!(config.get_password(), Some(&b"p@ss"[..]));
        let unknown =
            serde_json::from_str::<PostgresOptions>(r#"{"url": "postgres://h", "tiemout": 1}"#);
        assert!(unknown.unwrap_err().to_string().contains("tiemout"));
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn an_address_that_asks_for_tls_needs_the_feature() {
        let told = problems(&PostgresOptions::new(
            "postgres://host/db?sslmode=verify-full",
        ));
        assert!(told.contains("feature `tls`"), "{told}");
        let told = problems(&PostgresOptions::new("postgres://host/db").ca("ca.pem"));
        assert!(told.contains("server.ca: is for TLS"), "{told}");
    }
}
