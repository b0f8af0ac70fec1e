//! How a server is reached, as options say it.

use std::time::Duration;

use towpath_options::read_options;

use super::*;

fn read(json: &str) -> Result<NatsOptions, InvalidOptions> {
    let options: NatsOptions = read_options(&mut serde_json::Deserializer::from_str(json))?;
    options.validate()?;
    Ok(options)
}

fn paths(error: &InvalidOptions) -> Vec<&str> {
    error
        .problems()
        .iter()
        .map(|problem| problem.path.as_str())
        .collect()
}

#[test]
fn servers_are_a_text_or_a_list() {
    for json in [
        r#"{"servers": "nats://one:1, two:2"}"#,
        r#"{"servers": ["nats://one:1", "two:2"]}"#,
    ] {
        let options = read(json).unwrap();
        let addresses = options.servers.addresses();
        let hosts: Vec<_> = addresses.iter().map(|a| (a.host(), a.port())).collect();
        assert_eq!(hosts, [("one", 1), ("two", 2)]);
    }
}

#[test]
fn all_of_it_can_be_said_in_words() {
    let options = read(
        r#"{
            "servers": "tls://one:1", "name": "orders", "user": "me", "password": "hush",
            "tls": {"required": true, "first": true, "ca_file": "ca.pem",
                    "cert_file": "cert.pem", "key_file": "key.pem"},
            "domain": "hub", "inbox_prefix": "_INBOX.me",
            "connect_timeout": "2s", "answer_timeout": "300ms"
        }"#,
    );
    let options = options.unwrap();
    assert_eq!(options.connect_timeout, Duration::from_secs(2));
    assert_eq!(options.answer_timeout, Duration::from_millis(300));
    assert!(options.servers.want_tls() && options.tls.is_wanted());
    assert!(matches!(options.login(), Login::Password { .. }));
}

#[test]
fn every_problem_is_named() {
    let options = NatsOptions::new("http://one, nats://, ws://two")
        .connect_timeout(Duration::ZERO)
        .answer_timeout(Duration::MAX)
        .domain("a.b")
        .inbox_prefix("a..b")
        .tls(TlsOptions::default().client_cert("c", "k"));
    let error = options.validate().unwrap_err();
    let expected = [
        "servers[0]",
        "servers[1]",
        "servers[2]",
        "connect_timeout",
        "answer_timeout",
        "domain",
        "inbox_prefix",
    ];
    assert_eq!(paths(&error), expected, "{error}");
    assert_eq!(
        paths(&NatsOptions::new("").validate().unwrap_err()),
        ["servers"]
    );
}

#[test]
fn an_unknown_setting_is_named() {
    let error = read(r#"{"servers": "one", "pasword": "hush"}"#).unwrap_err();
    assert!(error.to_string().contains("pasword"), "{error}");
    assert!(!error.to_string().contains("hush"), "{error}");
}

#[test]
fn there_is_one_login_and_it_is_whole() {
    let error = read(r#"{"servers": "one", "user": "me"}"#).unwrap_err();
    assert_eq!(error.to_string(), "invalid options: user: needs a password");
    let error = read(r#"{"servers": "one", "password": "hush"}"#).unwrap_err();
    assert_eq!(error.to_string(), "invalid options: password: needs a user");
    let two = r#"{"servers": "me:hush@one", "token": "hush", "nkey_file": "a"}"#;
    let error = read(two).unwrap_err();
    assert_eq!(paths(&error), ["token", "nkey_file"]);
    assert!(!error.to_string().contains("hush"), "{error}");
}

#[test]
fn a_certificate_needs_its_key() {
    let error = read(r#"{"servers": "one", "tls": {"cert_file": "a"}}"#).unwrap_err();
    assert_eq!(paths(&error), ["tls.cert_file"]);
    let error = read(r#"{"servers": "one", "tls": {"key_file": "a"}}"#).unwrap_err();
    assert_eq!(paths(&error), ["tls.key_file"]);
}

#[test]
fn the_login_in_an_address_is_used_and_leaves_the_address() {
    let options = NatsOptions::from("nats://me%40home:h%2Fu%sh@one:1");
    let Login::Password { user, password } = options.login() else {
        panic!("{:?}", options.login());
    };
    assert_eq!((user.as_str(), password.reveal()), ("me@home", "h/u%sh"));
    let addresses = options.servers.addresses();
    assert_eq!(addresses[0].as_url_str(), "nats://one:1");

    let options = NatsOptions::from("nats://tokentoken@one:1");
    let login = options.login();
    assert!(
        matches!(&login, Login::Token(token) if token.reveal() == "tokentoken"),
        "{login:?}"
    );
}

#[test]
fn no_secret_is_printed() {
    let options = NatsOptions::from("nats://me:hush@one:1").token("hush");
    let shown = format!(
        "{options:?} {:?} {}",
        options.login(),
        options.validate().unwrap_err()
    );
    assert!(!shown.contains("hush"), "{shown}");
    let user = NatsOptions::from("nats://one:1").user("me", "hush");
    let shown = format!("{user:?} {:?}", user.login());
    assert!(!shown.contains("hush"), "{shown}");
}
