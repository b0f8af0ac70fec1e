//! Faults between a client and a server.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use towpath_test_servers::Proxy;

use crate::{PATIENCE, SHORT, is_there};

/// Sends everything back, until the test ends.
fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
        }
    });
    address
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.addr()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn assert_echoes(stream: &mut TcpStream) {
    let mut answer = [0; 2];
    stream.write_all(b"hi").unwrap();
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"hi");
}

/// No answer in time is no end.
fn assert_ended(mut stream: TcpStream) {
    match stream.read(&mut [0; 1]) {
        Ok(size) => assert_eq!(size, 0),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}

fn await_connections(proxy: &Proxy, count: usize) {
    while proxy.connections() != count {
        thread::yield_now();
    }
}

#[test]
fn what_is_sent_arrives_in_both_directions_until_its_end() {
    let proxy = Proxy::to(echo());
    let mut stream = connect(&proxy);
    assert_echoes(&mut stream);
    assert_eq!(proxy.connections(), 1);
    let other = connect(&proxy);
    let sent: Vec<u8> = (0..=u8::MAX).cycle().take(1_000_000).collect();
    let mut received = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            (&other).write_all(&sent).unwrap();
            other.shutdown(Shutdown::Write).unwrap();
        });
        (&other).read_to_end(&mut received).unwrap();
    });
    assert!(received == sent);
}

#[test]
fn when_it_is_cut_connections_end_and_no_new_ones_are_taken_until_it_heals() {
    let mut proxy = Proxy::to(echo());
    let mut stream = connect(&proxy);
    assert_echoes(&mut stream);
    proxy.cut();
    assert_ended(stream);
    assert!(!is_there(proxy.addr()));
    let address = proxy.addr();
    proxy.heal();
    assert_eq!(proxy.addr(), address);
    assert_echoes(&mut connect(&proxy));
}

#[test]
fn while_it_stalls_nothing_arrives_and_nothing_is_lost() {
    let mut proxy = Proxy::to(echo());
    let mut old = connect(&proxy);
    assert_echoes(&mut old);
    proxy.stall();
    let mut new = connect(&proxy);
    for stream in [&mut old, &mut new] {
        stream.write_all(b"hi").unwrap();
        stream.set_read_timeout(Some(SHORT)).unwrap();
        assert!(stream.read(&mut [0; 2]).is_err());
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    proxy.heal();
    for stream in [&mut old, &mut new] {
        let mut answer = [0; 2];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"hi");
    }
}

#[test]
fn connections_end_also_while_it_stalls_and_when_it_is_dropped() {
    let mut proxy = Proxy::to(echo());
    proxy.stall();
    let mut stream = connect(&proxy);
    stream.write_all(b"hi").unwrap();
    await_connections(&proxy, 1);
    proxy.close_all();
    assert_ended(stream);
    let mut stream = connect(&proxy);
    stream.write_all(b"hi").unwrap();
    let address = proxy.addr();
    drop(proxy);
    assert_ended(stream);
    assert!(!is_there(address));
}

#[test]
fn without_a_server_behind_it_a_client_is_let_go() {
    let proxy = Proxy::to("127.0.0.1:1");
    assert_ended(connect(&proxy));
}

#[test]
fn the_end_of_what_one_side_sends_is_passed_on_and_the_other_goes_on() {
    let proxy = Proxy::to(echo());
    let mut stream = connect(&proxy);
    stream.write_all(b"last words").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "last words");
}
