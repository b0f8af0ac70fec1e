//! The classes of input and output errors.

use std::io::ErrorKind as Kind;

use super::Class;

pub(super) fn class(kind: Kind) -> Option<Class> {
    if is_transient(kind) {
        return Some(Class::TRANSIENT);
    }
    is_permanent(kind).then_some(Class::Permanent)
}

/// Of connections and of what is in use now. `AddrNotAvailable` is what `connect` says when
/// all ports are taken.
fn is_transient(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::ConnectionRefused
            | Kind::ConnectionReset
            | Kind::ConnectionAborted
            | Kind::NotConnected
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::NetworkDown
            | Kind::AddrInUse
            | Kind::AddrNotAvailable
            | Kind::BrokenPipe
            | Kind::UnexpectedEof
            | Kind::TimedOut
            | Kind::Interrupted
            | Kind::WouldBlock
            | Kind::ResourceBusy
            | Kind::Deadlock
            | Kind::StaleNetworkFileHandle
    )
}

/// Of what was asked for.
fn is_permanent(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::NotFound
            | Kind::PermissionDenied
            | Kind::AlreadyExists
            | Kind::InvalidInput
            | Kind::InvalidData
            | Kind::Unsupported
            | Kind::NotADirectory
            | Kind::IsADirectory
            | Kind::DirectoryNotEmpty
            | Kind::ReadOnlyFilesystem
            | Kind::NotSeekable
            | Kind::FileTooLarge
            | Kind::CrossesDevices
            | Kind::TooManyLinks
            | Kind::InvalidFilename
            | Kind::ArgumentListTooLong
    )
}
