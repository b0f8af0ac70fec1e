//! Who the client says it is.

use std::path::PathBuf;

use towpath_options::{Problems, Secret};

use super::NatsOptions;

/// The one way in that the options give.
#[derive(Clone, Debug)]
pub(crate) enum Login {
    Nobody,
    Password { user: String, password: Secret },
    Token(Secret),
    NkeyFile(PathBuf),
    CredentialsFile(PathBuf),
}

impl Login {
    /// The settings to look at when the server refuses it.
    pub(crate) fn settings(&self) -> &'static str {
        match self {
            Self::Nobody => {
                "none is given: set user and password, token, nkey_file or credentials_file"
            }
            Self::Password { .. } => "see user and password",
            Self::Token(_) => "see token",
            Self::NkeyFile(_) => "see nkey_file",
            Self::CredentialsFile(_) => "see credentials_file",
        }
    }
}

impl NatsOptions {
    /// Who to be; what stands in an address counts as if it were a setting.
    pub(crate) fn login(&self) -> Login {
        if let Some(login) = self.servers.login() {
            return login;
        }
        if let (Some(user), Some(password)) = (&self.user, &self.password) {
            let (user, password) = (user.clone(), password.clone());
            return Login::Password { user, password };
        }
        if let Some(token) = &self.token {
            return Login::Token(token.clone());
        }
        if let Some(path) = &self.nkey_file {
            return Login::NkeyFile(path.clone());
        }
        match &self.credentials_file {
            Some(path) => Login::CredentialsFile(path.clone()),
            None => Login::Nobody,
        }
    }

    pub(super) fn check_login(&self, problems: &mut Problems) {
        if self.user.is_some() != self.password.is_some() {
            let (there, missing) = match self.user {
                Some(_) => ("user", "password"),
                None => ("password", "user"),
            };
            problems.add(there, format!("needs a {missing}"));
        }
        let given = [
            ("servers", self.servers.login().is_some()),
            ("user", self.user.is_some() || self.password.is_some()),
            ("token", self.token.is_some()),
            ("nkey_file", self.nkey_file.is_some()),
            ("credentials_file", self.credentials_file.is_some()),
        ];
        let mut given = given.iter().filter(|(_, given)| *given);
        let first = given.next().map_or("", |(name, _)| name);
        for (name, _) in given {
            problems.add(name, format!("is a second login beside {first}: give one"));
        }
    }
}
