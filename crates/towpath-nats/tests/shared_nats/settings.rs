//! What is wrong with the settings is said by name, and secrets are not.

use std::{path::Path, time::Duration};

use async_nats::jetstream::{
    consumer::{AckPolicy, pull, push},
    stream,
};
use tokio::task::block_in_place;
use towpath::{BoxError, Flow, SinkStage, Source};
use towpath_nats::{
    JetStreamSink, JetStreamSinkOptions, JetStreamSource, JetStreamSourceOptions, Lanes,
    NatsOptions, Publish, TlsOptions,
};
use towpath_test_servers::{Nats, or_not_run};

use super::{
    driver::{Driver, texts},
    server::{GROUP, STREAM, Server, options, stream_config},
};

async fn error_of(options: JetStreamSourceOptions) -> String {
    let mut driver = Driver::new(options);
    let received = driver.receive(1).await;
    received.err().expect("it cannot be received").to_string()
}

fn source(connection: NatsOptions) -> JetStreamSourceOptions {
    JetStreamSourceOptions::new(connection, STREAM, GROUP)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_named_without_its_login() {
    let error = error_of(source(options("nats://me:hush@127.0.0.1:9"))).await;
    assert!(
        error.contains("cannot connect to nats://***@127.0.0.1:9"),
        "{error}"
    );
    assert!(!error.contains("hush"), "{error}");
    let error = error_of(source(options("nats://no-such-host.invalid"))).await;
    assert!(error.contains("no-such-host.invalid"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_refused_names_its_settings_and_no_secret() {
    let nats = block_in_place(|| or_not_run(Nats::with_user("me", "correct")));
    let Some(nats) = nats else { return };
    let url = format!("nats://{}", nats.address());
    for (connection, setting) in [
        (options(&url), "none is given"),
        (options(&url).user("me", "hush"), "user and password"),
        (options(&url).token("hush"), "token"),
        (
            options(&format!("nats://me:hush@{}", nats.address())),
            "user and password",
        ),
    ] {
        let error = error_of(source(connection)).await;
        assert!(error.contains("refuses the login"), "{error}");
        assert!(error.contains(setting), "{error}");
        assert!(!error.contains("hush"), "{error}");
    }
    // The login is right: now the stream is missing.
    let error = error_of(source(options(&url).user("me", "correct"))).await;
    assert!(error.contains("no stream \"ORDERS\""), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_nkey_and_credentials_are_read_from_files_that_are_named_when_they_are_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let missing = folder.path().join("missing");
    let empty = file("empty", "SU-hush\n");
    for (connection, setting, path) in [
        (
            options("nats://127.0.0.1:9").nkey_file(&missing),
            "nkey_file",
            &missing,
        ),
        (
            options("nats://127.0.0.1:9").nkey_file(&empty),
            "nkey_file",
            &empty,
        ),
        (
            options("nats://127.0.0.1:9").credentials_file(&missing),
            "credentials_file",
            &missing,
        ),
        (
            options("nats://127.0.0.1:9").credentials_file(&empty),
            "credentials_file",
            &empty,
        ),
    ] {
        let error = error_of(source(connection)).await;
        assert!(error.contains(setting), "{error}");
        assert!(error.contains(&path.display().to_string()), "{error}");
        assert!(!error.contains("hush"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_or_consumer_that_is_missing_is_named_with_its_setting() {
    let Some(server) = Server::empty().await else {
        return;
    };
    let error = error_of(server.source()).await;
    assert_eq!(error, "there is no stream \"ORDERS\" (see stream)");
    server.stream(stream_config()).await;
    let error = error_of(server.source().create_consumer(false)).await;
    assert!(error.contains("no consumer \"workers\""), "{error}");
    assert!(error.contains("create_consumer"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_goes_on_once_its_stream_is_there() {
    let Some(server) = Server::empty().await else {
        return;
    };
    let mut driver = Driver::new(server.source());
    assert!(driver.receive(1).await.is_err());
    server.stream(stream_config()).await;
    server.put("orders.new", 0..1).await;
    assert_eq!(texts(&driver.receive_all(1).await), ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_is_another_than_the_options_say_is_named_with_the_setting() {
    let Some(server) = Server::start().await else {
        return;
    };
    let stream = server.jetstream.get_stream(STREAM).await.unwrap();
    let config = pull::Config {
        durable_name: Some(GROUP.to_owned()),
        filter_subject: "orders.new".to_owned(),
        ack_wait: Duration::from_secs(10),
        ..pull::Config::default()
    };
    stream.create_consumer(config).await.unwrap();
    let error = error_of(server.source().filter_subject("orders.old")).await;
    assert!(
        error.contains("see filter_subject") && error.contains("orders.new"),
        "{error}"
    );
    let error = error_of(server.source()).await;
    assert!(
        error.contains("see ack_wait") && error.contains("10s"),
        "{error}"
    );

    let config = pull::Config {
        durable_name: Some("lane-0".to_owned()),
        filter_subject: "orders.lane.0".to_owned(),
        max_ack_pending: 7,
        ..pull::Config::default()
    };
    stream.create_consumer(config).await.unwrap();
    let lanes = Lanes::new("orders.lane", 1.try_into().unwrap());
    let options = JetStreamSourceOptions::new(server.connection(), STREAM, "lane").lanes(lanes);
    let error = error_of(options).await;
    assert!(
        error.contains("see lanes") && error.contains("max_ack_pending of 7"),
        "{error}"
    );

    let config = pull::Config {
        durable_name: Some("cumulative".to_owned()),
        ack_policy: AckPolicy::All,
        ..pull::Config::default()
    };
    stream.create_consumer(config).await.unwrap();
    let options = JetStreamSourceOptions::new(server.connection(), STREAM, "cumulative");
    let error = error_of(options).await;
    assert!(error.contains("acknowledgement policy All"), "{error}");

    let config = push::Config {
        durable_name: Some("push".to_owned()),
        deliver_subject: "elsewhere".to_owned(),
        ..push::Config::default()
    };
    stream.create_consumer(config).await.unwrap();
    let options = JetStreamSourceOptions::new(server.connection(), STREAM, "push");
    let error = error_of(options).await;
    assert!(error.contains("pushes to"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn options_of_a_source_and_a_sink_name_every_problem() {
    let options = JetStreamSourceOptions::new("http://one", "a b", "")
        .filter_subject("a..b")
        .ack_wait(Duration::ZERO)
        .max_ack_pending(0)
        .max_pull_bytes(0)
        .pull_expires(Duration::MAX)
        .lanes(Lanes::new("a.*", 5000.try_into().unwrap()));
    let error = JetStreamSource::new(options).unwrap_err();
    let paths: Vec<_> = error
        .problems()
        .iter()
        .map(|problem| problem.path.as_str())
        .collect();
    let expected = [
        "connection.servers[0]",
        "stream",
        "consumer",
        "filter_subject",
        "lanes.prefix",
        "lanes.count",
        "filter_subject",
        "ack_wait",
        "max_ack_pending",
        "max_pull_bytes",
        "pull_expires",
    ];
    assert_eq!(paths, expected, "{error}");
    let options = JetStreamSinkOptions::new("")
        .stream("a.b")
        .subject_prefix("a.>");
    let error = JetStreamSink::new(options.patience(Duration::ZERO)).unwrap_err();
    let paths: Vec<_> = error
        .problems()
        .iter()
        .map(|problem| problem.path.as_str())
        .collect();
    assert_eq!(
        paths,
        ["connection.servers", "stream", "subject_prefix", "patience"],
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_can_be_printed_shows_a_secret() {
    let url = "nats://me:hush@127.0.0.1:9";
    let sink = JetStreamSinkOptions::new(url);
    let shown = format!("{:?} {sink:?}", source(url.into()));
    assert!(!shown.contains("hush"), "{shown}");
    let mut driver = Driver::new(source(options(url)));
    let error = driver.receive(1).await.err().unwrap();
    let shown = format!("{error:?} {:?} {:?}", driver.source, driver.acknowledger);
    assert!(!shown.contains("hush"), "{shown}");
    let shown = format!("{:?}", JetStreamSink::new(sink).unwrap());
    assert!(!shown.contains("hush"), "{shown}");
}

fn tls(nats: &Nats, ca: &Path) -> NatsOptions {
    options(&nats.url()).tls(TlsOptions::required().ca_file(ca))
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_go_over_an_encrypted_connection() -> Result<(), BoxError> {
    let Some(nats) = block_in_place(|| or_not_run(Nats::with_tls())) else {
        return Ok(());
    };
    let client = async_nats::ConnectOptions::new()
        .require_tls(true)
        .add_root_certificates(nats.ca_path())
        .connect(nats.url())
        .await?;
    let jetstream = async_nats::jetstream::new(client);
    jetstream.create_stream(stream_config()).await?;

    let encrypted = tls(&nats, &nats.ca_path());
    let sink = JetStreamSink::publish(encrypted.clone())?;
    let messages = (0..3).map(|n| Publish::new("orders.new", n.to_string()));
    let publishing = Flow::from(Source::iter("numbers", messages));
    let report = publishing
        .sink(SinkStage::of::<Publish>("orders", sink))
        .run()
        .await?;
    assert_eq!(report.counts.done, 3);
    let mut driver = Driver::new(source(encrypted));
    assert_eq!(texts(&driver.receive_all(3).await), ["0", "1", "2"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_nobody_vouches_for_is_an_error() {
    let Some(nats) = block_in_place(|| or_not_run(Nats::with_tls())) else {
        return;
    };
    let error = error_of(source(options(&nats.url()))).await;
    assert!(error.contains("certificate"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    let error = error_of(source(tls(&nats, &empty))).await;
    assert!(
        error.contains("tls.ca_file") && error.contains("empty.pem"),
        "{error}"
    );
    std::fs::write(&empty, "").unwrap();
    let error = error_of(source(tls(&nats, &empty))).await;
    assert!(error.contains("it holds no certificate"), "{error}");
    // A server that has no TLS to offer.
    let Some(plain) = Server::start().await else {
        return;
    };
    let error = error_of(source(plain.connection().require_tls())).await;
    assert!(error.contains("cannot connect"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_names_the_stream_that_takes_it_and_should_not() -> Result<(), BoxError> {
    let Some(server) = Server::start().await else {
        return Ok(());
    };
    let other = stream::Config {
        name: "OTHER".to_owned(),
        ..stream::Config::default()
    };
    server.stream(other).await;
    let options = JetStreamSinkOptions::new(server.connection()).stream("OTHER");
    let sink = SinkStage::of::<Publish>("other", JetStreamSink::new(options)?);
    let message = Publish::new("orders.new", "lost");
    let report = Flow::from(Source::iter("one", [message]))
        .sink(sink)
        .run()
        .await?;
    assert_eq!(report.counts.rejected, 1);
    let causes = format!("{:?}", report.causes);
    assert!(
        causes.contains("orders.new") && causes.contains("see stream"),
        "{causes}"
    );
    assert!(server.stored().await.is_empty());
    Ok(())
}
