//! A Redis, spoken to by its own few words.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use towpath_test_servers::{Redis, or_not_run};

use crate::{PATIENCE, is_there};

fn ask(redis: &Redis, text: &str) -> String {
    let mut stream = TcpStream::connect(redis.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(format!("{text}\r\n").as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

#[test]
fn it_is_empty_at_the_same_address_after_a_kill() {
    let Some(mut redis) = or_not_run(Redis::start()) else {
        return;
    };
    let address = redis.address();
    assert_eq!(redis.url(), format!("redis://{address}"));
    assert_eq!(ask(&redis, "SET a 1"), "+OK");
    assert_eq!(ask(&redis, "EXISTS a"), ":1");
    redis.kill();
    assert!(!is_there(address));
    redis.restart().unwrap();
    assert_eq!(redis.address(), address);
    assert_eq!(ask(&redis, "EXISTS a"), ":0");
}

#[test]
fn it_ends_when_it_is_dropped() {
    let Some(redis) = or_not_run(Redis::start()) else {
        return;
    };
    let address = redis.address();
    drop(redis);
    let gone = std::iter::repeat_with(|| is_there(address)).position(|there| !there);
    assert!(gone.is_some());
}
