//! What the client needs before it can connect.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::{ConnectOptions, Event};
use tokio::sync::watch;

use crate::{NatsError, NatsOptions, options::Login};

/// How often a silent server is asked whether it is there; it is lost after the third time.
const PING_EVERY: Duration = Duration::from_secs(5);

/// What the client says of its connection.
pub(super) struct Watched {
    pub(super) lost: watch::Receiver<bool>,
    /// What the server has said last against what was done here.
    pub(super) complaint: Arc<Mutex<Option<String>>>,
}

/// Reads the files of the options; blocks meanwhile.
pub(super) fn prepare(options: &NatsOptions) -> Result<(ConnectOptions, Watched), NatsError> {
    let servers = options.servers.addresses().len();
    let connect = ConnectOptions::new()
        .name(options.name.as_deref().unwrap_or("towpath"))
        .connection_timeout(options.connect_timeout)
        .request_timeout(Some(options.answer_timeout))
        .ping_interval(PING_EVERY)
        // Each server once, at once; then the client ends, and a new one is made with backoff.
        .max_reconnects(servers)
        .reconnect_delay_callback(|_| Duration::ZERO);
    let connect = match &options.inbox_prefix {
        Some(prefix) => connect.custom_inbox_prefix(prefix),
        None => connect,
    };
    let connect = with_tls(connect, options)?;
    let connect = with_login(connect, &options.login())?;
    Ok(watched(connect))
}

fn with_tls(connect: ConnectOptions, options: &NatsOptions) -> Result<ConnectOptions, NatsError> {
    let wanted = options.servers.want_tls() || options.tls.is_wanted();
    if !wanted {
        return Ok(connect);
    }
    let config = options.tls.client_config()?;
    let connect = connect.require_tls(true).tls_client_config(config);
    if options.tls.first {
        return Ok(connect.tls_first());
    }
    Ok(connect)
}

fn with_login(connect: ConnectOptions, login: &Login) -> Result<ConnectOptions, NatsError> {
    Ok(match login {
        Login::Nobody => connect,
        Login::Password { user, password } => {
            connect.user_and_password(user.clone(), password.reveal().to_owned())
        }
        Login::Token(token) => connect.token(token.reveal().to_owned()),
        Login::NkeyFile(path) => connect.nkey(seed("nkey_file", path)?),
        Login::CredentialsFile(path) => {
            let text = read("credentials_file", path)?;
            let with = connect.credentials(&text);
            with.map_err(|_| {
                NatsError::file("credentials_file", path, "no JWT and seed are in it")
            })?
        }
    })
}

/// The first line that looks like one: there may be comments around it.
fn seed(setting: &str, path: &Path) -> Result<String, NatsError> {
    let text = read(setting, path)?;
    let mut lines = text.lines().map(str::trim);
    let seed = lines.find(|line| line.starts_with('S') && line.len() > 50);
    match seed {
        Some(seed) => Ok(seed.to_owned()),
        None => Err(NatsError::file(setting, path, "no seed is in it")),
    }
}

fn read(setting: &str, path: &Path) -> Result<String, NatsError> {
    fs::read_to_string(path).map_err(|error| NatsError::file(setting, path, &error.to_string()))
}

fn watched(connect: ConnectOptions) -> (ConnectOptions, Watched) {
    let (losing, lost) = watch::channel(false);
    let complaint = Arc::new(Mutex::new(None));
    let noted = complaint.clone();
    let connect = connect.event_callback(move |event| {
        match event {
            Event::Disconnected | Event::Closed => {
                losing.send_replace(true);
            }
            Event::ServerError(error) => {
                *noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
            }
            _ => {}
        }
        async {}
    });
    (connect, Watched { lost, complaint })
}
