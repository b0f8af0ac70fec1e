//! A NATS server, spoken to by its own few words.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;
use towpath_test_servers::{Nats, or_not_run};

use crate::{PATIENCE, SHORT, is_there};

struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Self(BufReader::new(stream));
        assert!(client.line().starts_with("INFO "));
        client
    }

    fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// What a login, as JSON, brings.
    fn log_in(&mut self, login: &str) -> String {
        self.send(&format!("CONNECT {login}\r\nPING\r\n"));
        self.line()
    }

    /// The answer of JetStream.
    fn ask(&mut self, subject: &str, body: &str) -> Value {
        let size = body.len();
        self.send(&format!(
            "SUB answer 1\r\nUNSUB 1 1\r\nPUB {subject} answer {size}\r\n{body}\r\n"
        ));
        assert!(self.line().starts_with("MSG answer 1 "));
        serde_json::from_str(&self.line()).unwrap()
    }
}

fn client(nats: &Nats) -> Client {
    let mut client = Client::connect(nats.address());
    assert_eq!(client.log_in(r#"{"verbose":false}"#), "PONG");
    client
}

#[test]
fn what_it_has_stored_survives_a_kill_and_a_stop() {
    let Some(mut nats) = or_not_run(Nats::start()) else {
        return;
    };
    let url = nats.url();
    let stream = r#"{"name":"orders","subjects":["orders"]}"#;
    client(&nats).ask("$JS.API.STREAM.CREATE.orders", stream);
    for end in [Nats::kill, Nats::stop] {
        client(&nats).ask("orders", "a message");
        end(&mut nats);
        assert!(!is_there(nats.address()));
        nats.restart().unwrap();
    }
    let info = client(&nats).ask("$JS.API.STREAM.INFO.orders", "");
    assert_eq!(info["state"]["messages"], 2);
    assert_eq!(nats.url(), url);
}

#[test]
fn while_it_is_frozen_it_answers_nobody() {
    let Some(mut nats) = or_not_run(Nats::start()) else {
        return;
    };
    let mut client = client(&nats);
    nats.freeze();
    client.0.get_ref().set_read_timeout(Some(SHORT)).unwrap();
    client.send("PING\r\n");
    assert!(client.0.fill_buf().is_err());
    nats.thaw();
    client.0.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(client.line(), "PONG");
}

#[test]
fn only_its_user_may_use_it() {
    let Some(nats) = or_not_run(Nats::with_user("ada", "secret")) else {
        return;
    };
    let log_in = |login| Client::connect(nats.address()).log_in(login);
    assert_eq!(
        log_in(r#"{"verbose":false,"user":"ada","pass":"secret"}"#),
        "PONG"
    );
    assert_eq!(
        log_in(r#"{"verbose":false,"user":"ada","pass":"guess"}"#),
        "-ERR 'Authorization Violation'"
    );
    assert_eq!(nats.url(), format!("nats://ada:secret@{}", nats.address()));
}

#[test]
fn it_is_gone_when_it_is_dropped_also_while_it_is_frozen() {
    let Some(mut nats) = or_not_run(Nats::start()) else {
        return;
    };
    let (address, log) = (nats.address(), nats.log_path());
    assert!(is_there(address) && log.exists());
    nats.freeze();
    drop(nats);
    assert!(!is_there(address) && !log.exists());
}

#[test]
fn with_tls_it_says_so_and_its_authority_is_there() {
    let Some(nats) = or_not_run(Nats::with_tls()) else {
        return;
    };
    let stream = TcpStream::connect(nats.address()).unwrap();
    let mut said = String::new();
    BufReader::new(stream).read_line(&mut said).unwrap();
    assert!(said.contains("\"tls_required\":true"), "{said}");
    assert_eq!(nats.url(), format!("tls://{}", nats.address()));
    let authority = fs::read_to_string(nats.ca_path()).unwrap();
    assert!(authority.starts_with("-----BEGIN CERTIFICATE-----"));
}
