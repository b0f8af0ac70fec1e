//! How a program is run as root.

use std::process::Command;

use crate::cargo;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rights {
    Own,
    Sudo,
}

impl Rights {
    pub(super) fn find() -> Option<Self> {
        if is_root() {
            return Some(Self::Own);
        }
        cargo::works(&mut Self::Sudo.command("true")).then_some(Self::Sudo)
    }

    /// A program with these rights; nobody is asked for a password.
    pub(super) fn command(self, program: &str) -> Command {
        match self {
            Self::Own => Command::new(program),
            Self::Sudo => {
                let mut command = Command::new("sudo");
                command.args(["-n", program]);
                command
            }
        }
    }
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
