//! Free ports of the loopback address.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::ops::Range;

const HOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Below those that systems give to whoever does not care: a client that looks for a server in
/// vain does not get the server's port as its own.
const RESERVABLE: Range<u16> = 10_240..32_768;

/// A port that stays one's own while no server listens at it.
///
/// The same number of the other protocol is held meanwhile, as a sign for all others who reserve
/// ports; the system takes it back from whoever is killed.
#[derive(Debug)]
pub(crate) struct Reserved {
    sign: UdpSocket,
}

impl Reserved {
    pub(crate) fn new() -> io::Result<Self> {
        let size = RESERVABLE.end - RESERVABLE.start;
        // Others begin elsewhere.
        let begin = RandomState::new().hash_one(()) % u64::from(size);
        let begin = RESERVABLE.start + u16::try_from(begin).unwrap_or_default();
        let ports = (begin..RESERVABLE.end).chain(RESERVABLE.start..begin);
        let sign = ports
            .filter_map(|port| UdpSocket::bind((HOST, port)).ok())
            .find(|sign| sign.local_addr().is_ok_and(is_free))
            .ok_or(io::ErrorKind::AddrInUse)?;
        Ok(Self { sign })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.sign.local_addr().expect("it is bound")
    }
}

fn is_free(address: SocketAddr) -> bool {
    TcpListener::bind(address).is_ok()
}

/// `host:port` of ports that nobody else has; all are different.
pub(crate) fn free<const N: usize>() -> io::Result<[String; N]> {
    preferring([0; N])
}

/// The same, with these ports where they are free; 0 prefers none.
pub(crate) fn preferring<const N: usize>(preferred: [u16; N]) -> io::Result<[String; N]> {
    // All are held until the last one is found.
    let mut held = Vec::with_capacity(N);
    let mut found = [const { String::new() }; N];
    for (place, port) in found.iter_mut().zip(preferred) {
        let listener = TcpListener::bind((HOST, port)).or_else(|_| TcpListener::bind((HOST, 0)))?;
        *place = listener.local_addr()?.to_string();
        held.push(listener);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_are_all_different() {
        let mut found = free::<4>().unwrap().to_vec();
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), 4);
    }

    #[test]
    fn a_reserved_port_is_reserved_once_and_can_be_listened_at_again_and_again() {
        let (one, other) = (Reserved::new().unwrap(), Reserved::new().unwrap());
        assert_ne!(one.address(), other.address());
        assert!(UdpSocket::bind(one.address()).is_err());
        drop(TcpListener::bind(one.address()).unwrap());
        drop(TcpListener::bind(one.address()).unwrap());
    }

    #[test]
    fn a_preferred_port_is_taken_unless_somebody_has_it() {
        let other = TcpListener::bind((HOST, 0)).unwrap();
        let port = other.local_addr().unwrap().port();
        let [found] = preferring([port]).unwrap();
        assert_ne!(found, format!("{HOST}:{port}"));
        drop(other);
        assert_eq!(preferring([port]).unwrap(), [format!("{HOST}:{port}")]);
    }
}
