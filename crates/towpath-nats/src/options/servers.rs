//! The addresses of the servers, which may hold a login.

use std::fmt;

use async_nats::ServerAddr;
use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor},
};
use towpath_options::{Problems, without_secrets};

use super::Login;

/// The addresses of a server or of those of a cluster. They are printed without logins.
///
/// In options a text, with commas between addresses, or a list of texts.
#[derive(Clone, PartialEq, Eq)]
pub struct Servers(Vec<String>);

impl Servers {
    /// The addresses as they may be shown.
    pub(crate) fn shown(&self) -> String {
        let shown = self.0.iter().map(|address| without_secrets(address));
        shown.collect::<Vec<_>>().join(",")
    }

    /// The addresses without logins, those that can be read.
    pub(crate) fn addresses(&self) -> Vec<ServerAddr> {
        let read = self.0.iter().filter_map(|address| read(address).ok());
        read.map(|(address, _)| address).collect()
    }

    /// The login that stands in an address.
    pub(super) fn login(&self) -> Option<Login> {
        let mut read = self.0.iter().filter_map(|address| read(address).ok());
        read.find_map(|(_, login)| login)
    }

    /// Whether an address asks for encryption.
    pub(crate) fn want_tls(&self) -> bool {
        self.addresses().iter().any(ServerAddr::tls_required)
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        if self.0.is_empty() {
            problems.add("servers", "must name a server");
        }
        for (index, address) in self.0.iter().enumerate() {
            if let Err(problem) = read(address) {
                let shown = without_secrets(address);
                problems.add(&format!("servers[{index}]"), format!("{shown:?} {problem}"));
            }
        }
    }
}

/// An address without its login, and the login.
fn read(address: &str) -> Result<(ServerAddr, Option<Login>), String> {
    let Ok(read) = address.parse::<ServerAddr>() else {
        return Err("is no address such as nats://host:4222".to_owned());
    };
    if read.is_websocket() {
        return Err("is a websocket, which is not supported".to_owned());
    }
    if read.host().is_empty() {
        return Err("names no host".to_owned());
    }
    let user = read.username().map(decoded);
    let password = read.password().map(decoded);
    let login = match (user, password) {
        (Some(user), Some(password)) => Some(Login::Password {
            user,
            password: password.into(),
        }),
        (Some(token), None) => Some(Login::Token(token.into())),
        (None, _) => None,
    };
    let mut url = read.into_inner();
    // Both can only fail where there is no host.
    let bare = url.set_username("").is_ok() && url.set_password(None).is_ok();
    let bare = bare
        .then_some(url)
        .and_then(|url| ServerAddr::from_url(url).ok());
    Ok((bare.ok_or("is no address")?, login))
}

/// A part of an address with its `%40` read as `@`.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        let code = more.get(..2).filter(|_| *first == b'%');
        let code = code.and_then(|code| std::str::from_utf8(code).ok());
        let byte = code.and_then(|code| u8::from_str_radix(code, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &more[2..] } else { more };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl From<&str> for Servers {
    fn from(addresses: &str) -> Self {
        let addresses = addresses.split(',').map(str::trim);
        Self(
            addresses
                .filter(|a| !a.is_empty())
                .map(str::to_owned)
                .collect(),
        )
    }
}

impl From<String> for Servers {
    fn from(addresses: String) -> Self {
        addresses.as_str().into()
    }
}

impl From<&String> for Servers {
    fn from(addresses: &String) -> Self {
        addresses.as_str().into()
    }
}

impl From<Vec<String>> for Servers {
    fn from(addresses: Vec<String>) -> Self {
        Self(addresses)
    }
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.shown(), f)
    }
}

impl<'de> Deserialize<'de> for Servers {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Addresses)
    }
}

struct Addresses;

impl<'de> Visitor<'de> for Addresses {
    type Value = Servers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an address such as \"nats://host:4222\", or a list of them")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Servers, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Servers, A::Error> {
        let mut addresses = Vec::new();
        while let Some(address) = list.next_element()? {
            addresses.push(address);
        }
        Ok(Servers(addresses))
    }
}
