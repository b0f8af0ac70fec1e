//! Free ports of the loopback address.

use std::io;
use std::net::TcpListener;

const HOST: &str = "127.0.0.1";

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
    fn a_preferred_port_is_taken_unless_somebody_has_it() {
        let other = TcpListener::bind((HOST, 0)).unwrap();
        let port = other.local_addr().unwrap().port();
        let [found] = preferring([port]).unwrap();
        assert_ne!(found, format!("{HOST}:{port}"));
        drop(other);
        assert_eq!(preferring([port]).unwrap(), [format!("{HOST}:{port}")]);
    }
}
