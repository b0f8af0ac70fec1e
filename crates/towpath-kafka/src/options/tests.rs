//! What options read, refuse and show.

use std::time::Duration;

use towpath_options::{InvalidOptions, read_options};

use crate::{
    Assignment, Compression, KafkaSink, KafkaSinkOptions, KafkaSource, KafkaSourceOptions,
    Mechanism, Protocol, Security, Start,
};

fn source(json: &str) -> Result<KafkaSourceOptions, InvalidOptions> {
    let read: KafkaSourceOptions = read_options(&mut serde_json::Deserializer::from_str(json))?;
    read.validate()?;
    Ok(read)
}

fn sink(json: &str) -> Result<KafkaSinkOptions, InvalidOptions> {
    let read: KafkaSinkOptions = read_options(&mut serde_json::Deserializer::from_str(json))?;
    read.validate()?;
    Ok(read)
}

fn plain() -> KafkaSourceOptions {
    KafkaSourceOptions::new("one:9092,two:9092", "billing", ["orders", "returns"])
}

#[test]
fn a_source_is_read_in_words_and_is_the_same_as_one_that_is_built() {
    let read = source(
        r#"{
            "brokers": "one:9092,two:9092", "group": "billing", "topics": ["orders", "returns"],
            "assignment": "range", "start": "latest", "session_timeout": "20s",
            "fetch_ahead": "4MiB", "max_uncommitted": 500, "read_headers": false,
            "security": {
                "protocol": "sasl_plaintext", "mechanism": "PLAIN",
                "user": "app", "password": "hush"
            },
            "properties": { "fetch.min.bytes": "10" }
        }"#,
    );
    let security = Security::plain("app", "hush").protocol(Protocol::SaslPlaintext);
    let built = plain()
        .assignment(Assignment::Range)
        .start(Start::Latest)
        .session_timeout(Duration::from_secs(20))
        .fetch_ahead(4 << 20)
        .max_uncommitted(500.try_into().unwrap())
        .read_headers(false)
        .security(security)
        .property("fetch.min.bytes", "10");
    assert_eq!(read.unwrap(), built);
}

#[test]
fn a_sink_is_read_in_words_and_is_the_same_as_one_that_is_built() {
    let read = sink(
        r#"{
            "brokers": "one:9092", "topic": "invoices", "compression": "lz4",
            "linger": "20ms", "patience": "1m", "max_message": "2MB", "buffer": "8MiB"
        }"#,
    );
    let built = KafkaSinkOptions::new("one:9092")
        .topic("invoices")
        .compression(Compression::Lz4)
        .linger(Duration::from_millis(20))
        .patience(Duration::from_secs(60))
        .max_message(2_000_000)
        .buffer(8 << 20);
    assert_eq!(read.unwrap(), built);
}

#[test]
fn what_is_not_known_is_named_and_so_is_everything_that_is_wrong() {
    let error = source(r#"{"brokers": "a:1", "gruop": "g"}"#).unwrap_err();
    assert!(error.to_string().contains("gruop"), "{error}");
    let error = source(r#"{"topics": ["^orders.*", "a", "a"], "revoke_deadline": "0s"}"#);
    let error = error.unwrap_err();
    let paths: Vec<_> = error.problems().iter().map(|p| p.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "brokers",
            "group",
            "topics[0]",
            "topics[2]",
            "revoke_deadline"
        ],
        "{error}"
    );
    let error = sink(r#"{"brokers": "a@b", "topic": "", "buffer": "1KB", "patience": "0s"}"#);
    let error = error.unwrap_err();
    let paths: Vec<_> = error.problems().iter().map(|p| p.path.as_str()).collect();
    assert_eq!(
        paths,
        ["brokers", "topic", "patience", "linger", "buffer"],
        "{error}"
    );
}

#[test]
fn times_that_cannot_go_together_are_refused() {
    let seconds = Duration::from_secs;
    let error = plain()
        .session_timeout(seconds(70))
        .revoke_deadline(seconds(60))
        .retry(seconds(5), seconds(1))
        .validate()
        .unwrap_err();
    let paths: Vec<_> = error.problems().iter().map(|p| p.path.as_str()).collect();
    assert_eq!(
        paths,
        ["rebalance_timeout", "revoke_deadline", "max_retry"],
        "{error}"
    );
}

#[test]
fn properties_that_are_not_for_the_user_to_set_are_refused_with_the_option_to_use() {
    for (name, option) in [
        ("enable.auto.commit", "commit_every"),
        ("enable.auto.offset.store", "commit_every"),
        ("group.id", "group"),
        ("auto.offset.reset", "start"),
        ("bootstrap.servers", "brokers"),
        ("sasl.password", "security.password"),
        ("queued.max.messages.kbytes", "fetch_ahead"),
        ("max.poll.interval.ms", "rebalance_timeout"),
    ] {
        let error = plain().property(name, "1").validate().unwrap_err();
        let expected = format!("properties.{name}: is set from the option `{option}`");
        assert!(error.to_string().contains(&expected), "{error}");
    }
    for name in [
        "enable.idempotence",
        "acks",
        "transactional.id",
        "max.in.flight",
        "metadata.recovery.strategy",
    ] {
        let options = KafkaSinkOptions::new("a:1").property(name, "1");
        let error = options.validate().unwrap_err();
        assert!(
            error.to_string().contains("is not for you to set"),
            "{error}"
        );
    }
}

#[test]
fn properties_that_the_client_does_not_take_are_named_and_secret_values_are_not_shown() {
    let error = plain()
        .property("fetch.min.bites", "1")
        .validate()
        .unwrap_err();
    assert!(
        error.to_string().contains("properties.fetch.min.bites"),
        "{error}"
    );
    let error = plain()
        .property("fetch.min.bytes", "many")
        .validate()
        .unwrap_err();
    assert!(
        error.to_string().contains("properties.fetch.min.bytes"),
        "{error}"
    );
    let error = plain().property("ssl.keystore.passwort", "hush").validate();
    assert!(!error.unwrap_err().to_string().contains("hush"));
}

#[test]
fn every_option_is_one_that_the_client_takes() {
    let security = Security::plain("app", "hush").protocol(Protocol::SaslPlaintext);
    let full = plain().instance("one").security(security);
    assert!(full.config().create_native_config().is_ok());
    for compression in [Compression::Gzip, Compression::Snappy, Compression::Lz4] {
        let options = KafkaSinkOptions::new("a:1").compression(compression);
        assert!(
            options.config().create_native_config().is_ok(),
            "{compression:?}"
        );
    }
    let assignments = [Assignment::Range, Assignment::RoundRobin];
    for (assignment, start) in assignments.into_iter().zip([Start::Fail, Start::Latest]) {
        let config = plain().assignment(assignment).start(start).config();
        assert!(config.create_native_config().is_ok());
    }
}

#[test]
fn options_beyond_what_the_client_takes_are_refused_by_name() {
    let day = Duration::from_secs(24 * 60 * 60);
    let error = plain().socket_timeout(day).validate().unwrap_err();
    assert_eq!(error.problems()[0].path, "socket_timeout", "{error}");
    let error = plain().fetch_ahead(1 << 40).validate().unwrap_err();
    assert_eq!(error.problems()[0].path, "fetch_ahead", "{error}");
    let sink = KafkaSinkOptions::new("a:1").linger(Duration::from_secs(1_000));
    let error = sink.patience(day).validate().unwrap_err();
    assert_eq!(error.problems()[0].path, "linger", "{error}");
}

#[test]
fn security_wants_what_its_protocol_needs() {
    let paths = |security: Security| -> Vec<String> {
        let error = plain().security(security).validate();
        let problems = error
            .err()
            .map_or(vec![], |error| error.problems().to_vec());
        problems.into_iter().map(|problem| problem.path).collect()
    };
    let sasl = Security::default().protocol(Protocol::SaslPlaintext);
    assert_eq!(paths(sasl), ["security.user", "security.password"]);
    let unused = Security::plain("a", "b").protocol(Protocol::Plaintext);
    assert_eq!(paths(unused), ["security.user"]);
    assert_eq!(
        paths(Security::default().ca_file("ca.pem")),
        ["security.ca_file"]
    );
    let scram = Security::plain("a", "b")
        .protocol(Protocol::SaslPlaintext)
        .mechanism(Mechanism::ScramSha512);
    let wants_tls = usize::from(!cfg!(feature = "tls"));
    assert_eq!(paths(scram).len(), wants_tls);
    assert_eq!(paths(Security::tls()).len(), wants_tls);
}

#[test]
fn no_secret_is_shown_anywhere() {
    let security = Security::plain("app", "hush").protocol(Protocol::SaslPlaintext);
    let options = plain()
        .security(security.clone())
        .property("sasl.oauthbearer.client.secret", "hush");
    let to = KafkaSinkOptions::new("a:1")
        .security(security.clone())
        .property("ssl.key.pem", "hush");
    for shown in [
        format!("{options:?} {to:?}"),
        format!("{:?}", KafkaSource::new(options)),
        format!("{:?}", KafkaSink::new(to)),
        security.scrub("authentication of app with hush failed"),
    ] {
        assert!(!shown.contains("hush"), "{shown}");
    }
}
