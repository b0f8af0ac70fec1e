//! Logins by keys: an nkey of the server's own list, and credentials that an operator vouches
//! for.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use data_encoding::BASE64URL_NOPAD;
use nkeys::{KeyPair, KeyPairType};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::block_in_place;
use towpath::{BoxError, Flow, SinkStage, Source};
use towpath_nats::{
    JetStreamSink, JetStreamSinkOptions, JetStreamSource, JetStreamSourceOptions, NatsOptions,
    Publish,
};
use towpath_test::Recorder;
use towpath_test_servers::{Nats, or_not_run};

use super::{
    driver::Driver,
    server::{GROUP, STREAM, options, stream_config},
};

/// An operator, an account that it vouches for, and the account of the server itself.
struct Realm {
    operator: KeyPair,
    account: KeyPair,
    system: KeyPair,
}

fn key(kind: KeyPairType, number: u8) -> KeyPair {
    KeyPair::new_from_raw(kind, [number; 32]).unwrap()
}

fn user(number: u8) -> KeyPair {
    key(KeyPairType::User, number)
}

/// A token in which `issuer` says something of `subject`.
fn jwt(issuer: &KeyPair, subject: &KeyPair, claims: &Value) -> String {
    jwt_until(None, issuer, subject, claims)
}

fn jwt_until(until: Option<u64>, issuer: &KeyPair, subject: &KeyPair, claims: &Value) -> String {
    let header = json!({"typ": "JWT", "alg": "ed25519-nkey"});
    let body = json!({
        "jti": "1", "name": "test", "iat": 1_700_000_000, "exp": until,
        "iss": issuer.public_key(), "sub": subject.public_key(), "nats": claims,
    });
    let encoded = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let text = format!("{}.{}", encoded(&header), encoded(&body));
    let signature = issuer.sign(text.as_bytes()).unwrap();
    format!("{text}.{}", BASE64URL_NOPAD.encode(&signature))
}

impl Realm {
    fn new() -> Self {
        Self {
            operator: key(KeyPairType::Operator, 1),
            account: key(KeyPairType::Account, 2),
            system: key(KeyPairType::Account, 3),
        }
    }

    /// A server on which nobody but users of this account can do anything.
    fn start(&self) -> Option<Nats> {
        let system = self.system.public_key();
        let operator = json!({"type": "operator", "version": 2, "system_account": system});
        let operator = jwt(&self.operator, &self.operator, &operator);
        let [account, of_server] = [(&self.account, -1), (&self.system, 0)].map(|(key, store)| {
            let account = json!({"type": "account", "version": 2, "limits": {
                "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1,
                "wildcards": true, "conn": -1, "leaf": -1, "mem_storage": store,
                "disk_storage": store, "streams": store, "consumer": store,
            }});
            let name = key.public_key();
            let token = jwt(&self.operator, key, &account);
            format!("{name}: {token}")
        });
        let config = format!(
            "operator: {operator}\nsystem_account: {system}\nresolver: MEMORY\n\
             resolver_preload: {{\n{account}\n{of_server}\n}}\n"
        );
        block_in_place(|| or_not_run(Nats::with_config(&config)))
    }

    /// What this account says of one of its users.
    fn user(&self, user: &KeyPair) -> String {
        jwt(&self.account, user, &user_claims())
    }
}

fn user_claims() -> Value {
    json!({
        "type": "user", "version": 2, "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1,
    })
}

/// A credentials file as the tools of NATS write it.
fn credentials(folder: &TempDir, token: &str, seed: &KeyPair) -> PathBuf {
    let path = folder.path().join("user.creds");
    let text = format!(
        "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        seed.seed().unwrap()
    );
    fs::write(&path, text).unwrap();
    path
}

async fn make_stream(login: async_nats::ConnectOptions, nats: &Nats) -> Result<(), BoxError> {
    let client = login.connect(nats.url()).await?;
    let jetstream = async_nats::jetstream::new(client);
    jetstream.create_stream(stream_config()).await?;
    Ok(())
}

/// Publishes three numbers and works on them, as a user does: over pipelines.
async fn there_and_back(connection: &NatsOptions) -> Result<(), BoxError> {
    let sink = JetStreamSink::new(JetStreamSinkOptions::new(connection.clone()))?;
    let messages = (0..3).map(|n| Publish::new("orders.new", n.to_string()));
    let report = Flow::from(Source::iter("numbers", messages))
        .sink(SinkStage::of::<Publish>("orders", sink))
        .run()
        .await?;
    assert_eq!(report.counts.done, 3);
    let recorder = Recorder::new();
    let options = JetStreamSourceOptions::new(connection.clone(), STREAM, GROUP);
    let source = Source::new("orders", JetStreamSource::new(options)?);
    let running = Flow::from(source)
        .map(|message| String::from_utf8_lossy(&message.payload).into_owned())
        .sink(recorder.sink("record"))
        .start()
        .await?;
    recorder.wait_for(3).await;
    running.handle().drain();
    let report = running.join().await?;
    towpath_test::check(&report);
    assert_eq!(recorder.items(), ["0", "1", "2"]);
    assert_eq!(report.sources[0].settled.confirmed, 3);
    Ok(())
}

async fn error_of(connection: NatsOptions) -> String {
    let mut driver = Driver::new(JetStreamSourceOptions::new(connection, STREAM, GROUP));
    let received = driver.receive(1).await;
    received.err().expect("it cannot be received").to_string()
}

async fn refused(nats: &Nats, file: &Path, secret: &KeyPair) {
    let error = error_of(options(&nats.url()).credentials_file(file)).await;
    assert!(error.contains("refuses the login"), "{error}");
    assert!(error.contains("see credentials_file"), "{error}");
    assert!(!error.contains(&secret.seed().unwrap()), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_and_a_sink_log_in_with_credentials_that_an_operator_vouches_for()
-> Result<(), BoxError> {
    let realm = Realm::new();
    let Some(nats) = realm.start() else {
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let me = user(10);
    let file = credentials(&folder, &realm.user(&me), &me);
    let login = async_nats::ConnectOptions::with_credentials(&fs::read_to_string(&file)?)?;
    make_stream(login, &nats).await?;
    there_and_back(&options(&nats.url()).credentials_file(&file)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_the_account_does_not_know_is_refused_and_the_file_is_named() {
    let realm = Realm::new();
    let Some(nats) = realm.start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (me, other) = (user(10), user(11));
    let stranger = key(KeyPairType::Account, 4);
    for token in [
        // Of an account that the operator does not vouch for, of the key of somebody else, and
        // of long ago.
        jwt(&stranger, &me, &user_claims()),
        realm.user(&other),
        jwt_until(Some(1_700_000_001), &realm.account, &me, &user_claims()),
    ] {
        let file = credentials(&folder, &token, &me);
        refused(&nats, &file, &me).await;
    }
    let error = error_of(options(&nats.url())).await;
    assert!(error.contains("none is given"), "{error}");
}

/// Whoever renews credentials writes a new file; nobody has to start anything again.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_renewed_are_read_by_the_next_attempt() -> Result<(), BoxError> {
    let realm = Realm::new();
    let Some(nats) = realm.start() else {
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let me = user(10);
    let stranger = key(KeyPairType::Account, 4);
    let file = credentials(&folder, &jwt(&stranger, &me, &user_claims()), &me);
    let connection = options(&nats.url()).credentials_file(&file);
    let mut driver = Driver::new(JetStreamSourceOptions::new(connection, STREAM, GROUP));
    let error = driver.receive(1).await.err().expect("refused").to_string();
    assert!(error.contains("refuses the login"), "{error}");
    credentials(&folder, &realm.user(&me), &me);
    let error = driver
        .receive(1)
        .await
        .err()
        .expect("no stream")
        .to_string();
    assert!(error.contains("no stream \"ORDERS\""), "{error}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_and_a_sink_log_in_with_an_nkey_of_the_list_of_the_server() -> Result<(), BoxError>
{
    let (me, other) = (user(10), user(11));
    let config = format!(
        "authorization: {{ users: [ {{ nkey: {} }} ] }}\n",
        me.public_key()
    );
    let Some(nats) = block_in_place(|| or_not_run(Nats::with_config(&config))) else {
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let seed = |name: &str, user: &KeyPair| -> io::Result<PathBuf> {
        let path = folder.path().join(name);
        fs::write(&path, format!("{}\n", user.seed().unwrap()))?;
        Ok(path)
    };
    let login = async_nats::ConnectOptions::with_nkey(me.seed()?);
    make_stream(login, &nats).await?;
    there_and_back(&options(&nats.url()).nkey_file(seed("me", &me)?)).await?;
    let error = error_of(options(&nats.url()).nkey_file(seed("other", &other)?)).await;
    assert!(error.contains("refuses the login"), "{error}");
    assert!(error.contains("see nkey_file"), "{error}");
    Ok(())
}
