//! Text that is used and never shown.

use std::fmt;

use serde::Deserialize;

/// What stands where a secret is.
const HIDDEN: &str = "***";

/// A password, a token: read like any text, and shown as `***` wherever it is printed.
///
/// ```
/// use towpath_options::Secret;
///
/// let password = Secret::new("hush");
/// assert_eq!(format!("{password:?} {password}"), "*** ***");
/// assert_eq!(password.reveal(), "hush");
/// ```
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for whoever needs it; never for a log.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl<S: Into<String>> From<S> for Secret {
    fn from(text: S) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// An address as it may be shown: what stands before the `@` of a URL, and the value of a
/// `password` in a list of settings, are hidden.
///
/// ```
/// use towpath_options::without_secrets;
///
/// assert_eq!(without_secrets("nats://me:hush@host:4222"), "nats://***@host:4222");
/// assert_eq!(without_secrets("host=db password=hush user=me"), "host=db password=*** user=me");
/// assert_eq!(without_secrets("nats://host:4222"), "nats://host:4222");
/// ```
pub fn without_secrets(address: &str) -> String {
    let address = without_user(address);
    without_password(&address)
}

/// Everything between `//` and the last `@` before the path is hidden; there may be several
/// addresses with commas between them.
fn without_user(addresses: &str) -> String {
    let shown = addresses.split(',').map(|address| {
        let (scheme, rest) = address.split_once("//").unwrap_or(("", address));
        let host_end = rest.find(['/', '?']).unwrap_or(rest.len());
        let at = rest[..host_end].rfind('@').or_else(|| rest.rfind('@'));
        match at {
            Some(at) if scheme.is_empty() => format!("{HIDDEN}{}", &rest[at..]),
            Some(at) => format!("{scheme}//{HIDDEN}{}", &rest[at..]),
            None => address.to_owned(),
        }
    });
    shown.collect::<Vec<_>>().join(",")
}

fn without_password(settings: &str) -> String {
    const KEY: &str = "password=";
    let Some(begin) = settings.find(KEY) else {
        return settings.to_owned();
    };
    let begin = begin + KEY.len();
    let rest = &settings[begin..];
    let quoted = rest.starts_with('\'');
    let end = if quoted {
        rest[1..].find('\'').map_or(rest.len(), |end| end + 2)
    } else {
        rest.find([' ', '&', ';']).unwrap_or(rest.len())
    };
    format!("{}{HIDDEN}{}", &settings[..begin], &rest[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_a_secret_is_shown_wherever_it_stands() {
        for address in [
            "nats://me:hush@host:4222",
            "nats://hush@host",
            "nats://a:hush@one,nats://b:hush@two:1",
            "postgres://me:hu/hush@host/db?sslmode=require",
            "postgres://host/db?user=me&password=hush",
            "host=db password='hush hush' user=me",
            "me:hush@host",
        ] {
            let shown = without_secrets(address);
            assert!(!shown.contains("hush"), "{address} is shown as {shown}");
            assert!(shown.contains(HIDDEN), "{shown}");
        }
    }

    #[test]
    fn what_holds_no_secret_is_shown_as_it_is() {
        for address in [
            "nats://host:4222",
            "host=db user=me",
            "one:9092,two:9092",
            "",
        ] {
            assert_eq!(without_secrets(address), address);
        }
    }
}
