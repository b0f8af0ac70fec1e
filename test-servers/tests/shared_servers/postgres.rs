//! PostgreSQL, asked by its own client.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::thread;

use towpath_test_servers::{Postgres, or_not_run};

use crate::{PATIENCE, SHORT, is_there};

#[test]
fn what_was_committed_survives_a_kill_and_a_stop() {
    let Some(mut postgres) = or_not_run(Postgres::start()) else {
        return;
    };
    let url = postgres.url();
    assert_eq!(postgres.psql("create table orders (id int, what text)"), "");
    for (id, end) in [Postgres::kill, Postgres::stop].into_iter().enumerate() {
        postgres.psql(&format!("insert into orders values ({id}, 'tea')"));
        end(&mut postgres);
        assert!(!is_there(postgres.address()));
        postgres.restart().unwrap();
    }
    assert_eq!(
        postgres.psql("select * from orders order by id"),
        "0|tea\n1|tea"
    );
    assert_eq!(postgres.url(), url);
}

#[test]
fn it_is_killed_and_stopped_also_while_a_session_is_busy() {
    let Some(mut postgres) = or_not_run(Postgres::start()) else {
        return;
    };
    for end in [Postgres::kill, Postgres::stop] {
        let mut sleeper = postgres
            .psql_command("select pg_sleep(3600)")
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let sleepers = "select count(*) from pg_stat_activity where query like 'select pg_sleep%'";
        while postgres.psql(sleepers) == "0" {
            thread::yield_now();
        }
        end(&mut postgres);
        assert!(!sleeper.wait().unwrap().success());
        postgres.restart().unwrap();
        assert_eq!(postgres.psql(sleepers), "0");
    }
}

/// What a login over the network brings, or `None`.
fn ask(postgres: &Postgres, url: &str, sql: &str) -> Option<String> {
    let mut psql = postgres.psql_command(sql);
    // The last one counts.
    let output = psql.args(["-d", url]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    output.status.success().then(|| said.trim_end().to_owned())
}

#[test]
fn with_a_password_nobody_else_comes_in() {
    let Some(postgres) = or_not_run(Postgres::with_password("it's @ secret")) else {
        return;
    };
    let url = postgres.url();
    assert_eq!(ask(&postgres, &url, "select 7").unwrap(), "7");
    let guess = url.replace("secret", "guess");
    assert_ne!(guess, url);
    assert_eq!(ask(&postgres, &guess, "select 7"), None);
    assert_eq!(postgres.psql("select 7"), "7");
}

#[test]
fn with_tls_it_is_known_by_its_authority_and_nobody_comes_without() {
    let Some(mut postgres) = or_not_run(Postgres::with_tls()) else {
        return;
    };
    postgres.kill();
    postgres.restart().unwrap();
    let (url, authority) = (postgres.url(), postgres.ca_path());
    let mode = |mode: &str| url.replace("=require", &format!("={mode}"));
    let whole = mode(&format!("verify-full&sslrootcert={}", authority.display()));
    let sql = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
    assert_eq!(ask(&postgres, &whole, sql).unwrap(), "t");
    assert_eq!(ask(&postgres, &mode("disable"), sql), None);
}

/// Asks for a login.
fn knock(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = b"\0\0\0\x17\0\x03\0\0user\0postgres\0\0";
    stream.write_all(request).unwrap();
    stream
}

#[test]
fn while_it_is_frozen_neither_it_nor_a_session_answers() {
    let Some(mut postgres) = or_not_run(Postgres::start()) else {
        return;
    };
    let mut session = knock(postgres.address());
    session.read_exact(&mut [0; 9]).unwrap();
    postgres.freeze();
    let mut login = knock(postgres.address());
    login.set_read_timeout(Some(SHORT)).unwrap();
    assert!(login.read_exact(&mut [0; 9]).is_err());
    postgres.thaw();
    login.set_read_timeout(Some(PATIENCE)).unwrap();
    login.read_exact(&mut [0; 9]).unwrap();
}

#[test]
fn it_is_gone_when_it_is_dropped_also_while_it_is_frozen() {
    let Some(mut postgres) = or_not_run(Postgres::start()) else {
        return;
    };
    let (address, log) = (postgres.address(), postgres.log_path());
    let _session = knock(address);
    postgres.freeze();
    drop(postgres);
    assert!(!is_there(address) && !log.exists());
}
